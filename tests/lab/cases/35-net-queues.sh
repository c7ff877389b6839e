# Two pairs of queues, in this process over mmio and in vhost-net over PCI: flows on both at once with their sums; the tap goes down and comes up, and the guest sees it.
# tier: full
# seconds: 55
# covers: vmm/MicroVm/Virtio/Net vmm/MicroVm/Virtio/Vhost
source "$(dirname "$0")/../case.sh"
need ip:iproute2

lab_run --timeout 400 --file "$(command -v ip)"=/usr/local/sbin/ip <<'LAB'
/usr/local/sbin/ip tuntap add tap0 mode tap multi_queue
ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
mkdir /srv
for i in 1 2; do head -c 1048576 /dev/urandom >/srv/$i; echo "@sum_$i $(md5sum </srv/$i | cut -c1-32)"; done
httpd -p 80 -h /srv
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up
echo "@${mode}_queues $(ls -d /sys/class/net/eth0/queues/?x-* | wc -l)"
for i in 1 2; do taskset $i wget -qO- http://10.0.0.1/$i | md5sum | cut -c1-32 | sed "s/^/@${mode}_$i /" & done; wait
grep "virtio0" /proc/interrupts | sed "s/^/$mode:/"
echo "ready $mode"
i=0; while [ "$(cat /sys/class/net/eth0/carrier)" != 0 ] && [ $i -lt 200 ]; do i=$((i+1)); usleep 100000; done; echo "@${mode}_down $(cat /sys/class/net/eth0/carrier)"
i=0; while [ "$(cat /sys/class/net/eth0/carrier)" != 1 ] && [ $i -lt 200 ]; do i=$((i+1)); usleep 100000; done; echo "@${mode}_up $(cat /sys/class/net/eth0/carrier)"
wget -qO- http://10.0.0.1/1 | md5sum | cut -c1-32 | sed "s/^/@${mode}_again /"
END
until_line() { n=0; until grep -q "$1" /tmp/log || [ $n = 900 ]; do n=$((n+1)); usleep 100000; done; }
for m in tap: pcivhost:,vhost,transport=pci; do
    mode=${m%%:*}
    microvm run $files --memory 256M --cpus 2 --net tap=tap0,queues=2${m#*:} --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/log 2>&1 & machine=$!
    until_line "ready $mode"; ifconfig tap0 down; until_line "@${mode}_down"; ifconfig tap0 up
    wait $machine; echo "@${mode}_code $?"; cat /tmp/log
done
LAB
expect_exit 0 "the lab ends well"
for mode in tap pcivhost; do
    expect_value "$mode: the guest ends with 0" ${mode}_code 0
    expect_value "$mode: the guest has two pairs" ${mode}_queues 4
    for i in 1 2; do expect_value "$mode: flow $i" ${mode}_$i "$(value_of sum_$i)"; done
    expect_value "$mode: the tap is down: the guest sees it" ${mode}_down 0
    expect_value "$mode: the tap is up again: the guest sees it" ${mode}_up 1
    expect_value "$mode: a file after that" ${mode}_again "$(value_of sum_1)"
done
expect_line "a line says that the tap is down" "^microvm: note: virtio-net on tap0: the host's end is down"
