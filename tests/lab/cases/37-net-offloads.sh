# A tap that was opened by who starts the machine, its frames moved here and by vhost-net: every offload switched on and off, with files both ways and their
# sums each time; then the host floods a guest whose interface goes down and comes up again.
# tier: full
# seconds: 110
# covers: vmm/MicroVm/Virtio/Net vmm/MicroVm/Virtio/Vhost
# rows: N2
source "$(dirname "$0")/../case.sh"
need ethtool:ethtool ip:iproute2 gcc:gcc /usr/include/stdio.h:libc6-dev

gcc -O1 -static -s -o "$folder/open-tap" "$lab/open-tap.c"
lab_run --timeout 420 --file "$(command -v ethtool)=/usr/sbin/ethtool" --file "$(command -v ip)=/usr/local/sbin/ip" --file "$folder/open-tap=/usr/bin/open-tap" <<'LAB'
/usr/local/sbin/ip tuntap add tap0 mode tap multi_queue
ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
mkdir /srv; head -c 2097152 /dev/urandom >/srv/down; echo "@sum $(md5sum </srv/down | cut -c1-32)"
httpd -p 10.0.0.1:80 -h /srv
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up
echo "@${mode}_queues $(ls -d /sys/class/net/eth0/queues/?x-* | wc -l)"
head -c 2097152 /dev/urandom >/tmp/up; md5sum </tmp/up | cut -c1-32 | sed "s/^/@${mode}_up /"
ethtool -k eth0 | grep -E "^(tx-checksumming|scatter-gather|tcp-segmentation-offload|generic-receive-offload):" | sed "s/^/$mode: /"
right=0 tried=0
for tx in off on; do for sg in off on; do for tso in off on; do for gro in off on; do
    [ $tso = on ] && [ $sg$tx != onon ] && continue
    [ $sg = on ] && [ $tx = off ] && continue
    ethtool -K eth0 tx $tx sg $sg tso $tso gro $gro >/dev/null 2>&1 || echo "refused: tx $tx sg $sg tso $tso gro $gro"
    tried=$((tried+1))
    down=$(wget -qO- http://10.0.0.1/down | md5sum | cut -c1-32)
    until nc 10.0.0.1 9000 </tmp/up 2>/dev/null; do usleep 50000; done
    [ "$down" = "$(cat /sum)" ] && right=$((right+1)) || echo "wrong: tx $tx sg $sg tso $tso gro $gro: $down"
done; done; done; done
echo "@${mode}_tried $tried"; echo "@${mode}_right $right"
before=$(cat /sys/class/net/eth0/statistics/rx_packets); echo "flood"; sleep 1
received() { echo $(( $(cat /sys/class/net/eth0/statistics/rx_packets) - before )); }
# Four times, and on a slow host until it was a flood.
i=0; while [ $i -lt 4 ] || [ $(received) -lt 200 -a $i -lt 60 ]; do ifconfig eth0 down; usleep 200000; ifconfig eth0 up; usleep 300000; i=$((i+1)); done
echo "@${mode}_received $(received)"
i=0; until [ "$(wget -qO- http://10.0.0.1/down | md5sum | cut -c1-32)" = "$(cat /sum)" ] || [ $i = 5 ]; do i=$((i+1)); done
echo "@${mode}_after $i"
dmesg | sed s/^/D:/
END
( cd /tmp; md5sum </srv/down | cut -c1-32 >sum; echo sum | cpio -o -H newc 2>/dev/null >>initrd )
add_program /usr/sbin/ethtool
boot() { # boot MODE QUEUES OPTIONS
    mode=$1; : >/tmp/sums; : >/tmp/console
    while :; do nc -l -p 9000 -e sh -c "md5sum | cut -c1-32 >>/tmp/sums"; done & receiver=$!
    fds=3; [ $2 = 2 ] && fds=3:4
    open-tap tap0 $2 microvm run $files --memory 256M --cpus 2 --net fd=$fds$3 --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/console 2>&1 & machine=$!
    i=0; while [ $i -lt 1800 ] && kill -0 $machine 2>/dev/null && ! grep -q "^flood" /tmp/console; do i=$((i+1)); usleep 100000; done
    yes 0123456789012345678901234567890123456789 | nc -u 10.0.0.2 9 >/dev/null 2>&1 & one=$!
    ping -q -A -s 1400 10.0.0.2 >/dev/null 2>&1 & two=$!
    i=0; while [ $i -lt 600 ] && kill -0 $machine 2>/dev/null && ! grep -q "@${mode}_received" /tmp/console; do i=$((i+1)); usleep 100000; done
    kill $one $two
    wait $machine; echo "@${mode}_code $?"
    kill $receiver $(pidof nc) 2>/dev/null
    echo "@${mode}_pushed $(wc -l </tmp/sums)";     cat /tmp/console; echo "@${mode}_sums $(sort -u /tmp/sums | tr "\n" " ")"
}
boot tap 1 ""
boot vhost 1 ,vhost
boot pcitap 2 ,transport=pci
LAB
expect_exit 0 "the lab ends well"
for mode in tap vhost pcitap; do
    expect_value "$mode: the guest ends with 0" ${mode}_code 0
    expect_value "$mode: queues" ${mode}_queues "$([[ $mode == pcitap ]] && echo 4 || echo 2)"
    for what in tx-checksumming scatter-gather tcp-segmentation-offload; do expect_line "$mode: $what is on at first" "^$mode: $what: on"; done
    expect_at_least "$mode: combinations of offloads" ${mode}_tried 8
    expect_value "$mode: a file pulled is right with every one" ${mode}_right "$(value_of ${mode}_tried | tr -d '\r' | grep . || echo some)"
    expect_value "$mode: and a file pushed" ${mode}_sums "$(value_of ${mode}_up | tr -d '\r' | grep . || echo some) "
    expect_at_least "$mode: files pushed" ${mode}_pushed 8
    expect_at_least "$mode: frames of the flood" ${mode}_received 200
    expect_at_most "$mode: traffic goes on after the flood: tries that failed" ${mode}_after 2
done
refute_line "the kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|virtio_net.*(error|timeout)|NETDEV WATCHDOG|Call Trace)'
