# A stock guest's interface behind a vhost-user backend (tests/lab/vhost-user-tap.c, which bridges to a tap), over both transports: pings, files both ways with their sums, the link while the backend is killed and started again.
# tier: full
# seconds: 20
# covers: vmm/MicroVm/Virtio/VhostUser vmm/MicroVm/Virtio/Net
source "$(dirname "$0")/../case.sh"
need gcc:gcc
gcc -static -O1 -o "$folder/vhost-user-tap" "$lab/vhost-user-tap.c"

lab_run --timeout 600 --file "$folder/vhost-user-tap=/usr/bin/vhost-user-tap" <<'LAB'
tunctl -t tap0 >/dev/null
ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
mkdir /srv
head -c 8388608 /dev/urandom >/srv/down
echo "@down_sum $(md5sum </srv/down)"
httpd -p 10.0.0.1:80 -h /srv
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up
echo "@${mode}_mac $(cat /sys/class/net/eth0/address)"
ping -c 3 10.0.0.1 >/dev/null && echo "@${mode}_ping_out yes"
wget -qO- http://10.0.0.1/down | md5sum | sed "s/^/@${mode}_down /"
head -c 4194304 /dev/urandom >/tmp/up
md5sum </tmp/up | sed "s/^/@${mode}_up_sum /"
nc 10.0.0.1 9000 </tmp/up
if [ $mode = mmio ]; then
    echo "@carrier_before $(cat /sys/class/net/eth0/carrier)"
    echo ready
    n=0; until [ $(cat /sys/class/net/eth0/carrier) = 0 ] || [ $n = 200 ]; do sleep 0.1; n=$((n + 1)); done
    echo "@carrier_without $(cat /sys/class/net/eth0/carrier)"
    echo gone
    n=0; until [ $(cat /sys/class/net/eth0/carrier) = 1 ] || [ $n = 200 ]; do sleep 0.1; n=$((n + 1)); done
    n=0; until ping -c 1 -W 1 10.0.0.1 >/dev/null || [ $n = 20 ]; do n=$((n + 1)); done
    wget -qO- http://10.0.0.1/down | md5sum | sed "s/^/@again_down /"
fi
dmesg | sed s/^/D:/
END
serve() { vhost-user-tap /tmp/net tap0 & backend=$!; sleep 0.5; ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up; }
await() { n=0; until grep -q "$1" /tmp/console || [ $n = 900 ]; do sleep 0.1; n=$((n + 1)); done; }
boot() {
    local mode=$1 flags=$2
    nc -l -p 9000 -e sh -c "cat >/tmp/up" & receiver=$!
    microvm run $files --memory 256M --net vhost-user=/tmp/net,mac=52:54:00:aa:bb:cc$flags --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/console & machine=$!
    if [ $mode = mmio ]; then
        await ready; kill -9 $backend; wait $backend 2>/dev/null
        await gone; serve
    fi
    wait $machine
    echo "@${mode}_code $?"
    cat /tmp/console
    echo "@${mode}_up $(md5sum </tmp/up)"
    kill $receiver 2>/dev/null
}
serve
boot mmio ""
boot pci ,transport=pci
true
LAB
expect_exit 0 "the lab ends well"
for mode in mmio pci; do
    expect_value "$mode: the guest ends with 0" ${mode}_code 0
    expect_value "$mode: the guest has the address that was given" ${mode}_mac 52:54:00:aa:bb:cc
    expect_value "$mode: the guest pings the host" ${mode}_ping_out yes
    expect_value "$mode: 8 MiB pulled are what the server has" ${mode}_down "$(value_of down_sum)"
    expect_value "$mode: 4 MiB pushed are what the guest has" ${mode}_up "$(value_of ${mode}_up_sum)"
done
expect_value "the link is up at first" carrier_before 1
expect_value "down while no backend is there" carrier_without 0
expect_value "and what is pulled from the next backend is whole" again_down "$(value_of down_sum)"
refute_line "the kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|virtio_net.*(error|timeout)|NETDEV WATCHDOG|Call Trace)'
refute_line "this process has nothing to complain about" 'guest error'
