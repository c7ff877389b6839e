# iperf3 and ping over one tap: this monitor and QEMU's microvm, each with and without vhost, the same guest, in one lab. Ratios, not times.
source "$(dirname "$0")/../case.sh"
need iperf3:iperf3

lab_run --timeout 900 --with-qemu --file /usr/bin/iperf3=/usr/bin/iperf3 -- "$vm"'
tunctl -t tap0 >/dev/null
ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
iperf3 -s -D >/dev/null 2>&1
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
i=0; until [ -e /sys/class/net/eth0 ] || [ $i = 50 ]; do i=$((i+1)); usleep 100000; done
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up
ping -c 2 10.0.0.1 >/dev/null
rate() { iperf3 -c 10.0.0.1 -t 5 -f m "$@" | sed -n "s/.* \([0-9.]*\) Mbits.*receiver.*/\1/p"; }
echo "@${mode}_send $(rate)"
echo "@${mode}_receive $(rate -R)"
echo "@${mode}_ping $(ping -q -c 200 -i 0.01 10.0.0.1 | sed -n "s/^round-trip[^=]*= [0-9.]*.\([0-9.]*\).*/\1/p")"
END
add_program /usr/bin/iperf3
ours() { mode=$1; run --memory 512M --net tap=tap0$2 --cmdline "console=ttyS0 quiet panic=-1 mode=$mode microvm.exec=sh /script"; }
theirs() {
    mode=$1
    timeout 200 qemu-system-x86_64 -M microvm,pit=on,rtc=on -accel kvm -cpu host -m 512 -nodefaults -no-reboot -display none -serial stdio -bios qboot.rom \
        -kernel /lab/vmlinuz -initrd /tmp/initrd -append "console=ttyS0 quiet reboot=t panic=-1 mode=$mode microvm.exec=sh /script" \
        -device isa-debug-exit,iobase=0xf4,iosize=1 \
        -netdev tap,id=n,ifname=tap0,script=no,downscript=no,vhost=$2 -device virtio-net-device,netdev=n </dev/null 2>&1
    true # its exit device turns 0 into 1
}
for round in a b; do
    ours ours$round ""
    theirs qemu$round off
    ours oursvhost$round ,vhost
    theirs qemuvhost$round on
done'
expect_exit 0 "the lab ends well"
best() { printf '%s\n' "$(value_of "$1a_$2")" "$(value_of "$1b_$2")" | sort "-${3}n" | sed -n '/./{p;q}'; }
for pair in ours:qemu oursvhost:qemuvhost; do
    a=${pair%:*} b=${pair#*:}
    for what in send:r receive:r ping:; do
        key=${what%:*} x=$(best "$a" "$key" "${what#*:}") y=$(best "$b" "$key" "${what#*:}")
        check "$a: $key was measured" 'no figure' test -n "$x"
        note "$a $key: $x against $b $y$(awk -v x="$x" -v y="$y" 'BEGIN { if (y > 0) printf ", ratio %.2f", x / y }') ($([[ $key == ping ]] && echo 'ms, less is better' || echo 'Mbit/s'))"
    done
done
