# Every queue of every kind of device busy on all processors while a disk changes its size (decision 0020): no exit for any
# used-buffer interrupt over mmio, one at most for a configuration change, and none of those is lost.
# tier: full
# seconds: 115
# covers: vmm/MicroVm/Virtio/Mmio vmm/MicroVm/Virtio/Pci vmm/MicroVm/Virtio/Queue vmm/MicroVm/Interrupts
source "$(dirname "$0")/../case.sh"
need ip:iproute2
cpus=4

lab_run --timeout 420 --file "$(command -v ip)"=/usr/local/sbin/ip --set cpus="$cpus" <<'LAB'
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
/usr/local/sbin/ip tuntap add tap0 mode tap multi_queue
ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
mkdir /srv; head -c 4194304 /dev/urandom >/srv/file; httpd -p 10.0.0.1:80 -h /srv
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up
ping -c 2 10.0.0.1 >/dev/null
fired() { awk -v cpus=$(nproc) "/virtio/ { for (i = 2; i <= cpus + 1; i++) { n += \$i; if (\$i > 0) on[i] = 1 } } END { print n + 0, length(on) }" /proc/interrupts; }
set -- $(fired); before=$1
size=$(cat /sys/block/vda/size) seen=1; echo "size $size"
echo "ready"; sleep 1
for cpu in $(seq 0 $(( $(nproc) - 1 ))); do cpu=$((1 << cpu))
    for disk in a b; do taskset $cpu dd if=/dev/vd$disk of=/dev/null bs=4k count=1500 iflag=direct 2>/dev/null & work="$work $!"; done
    taskset $cpu wget -qO /dev/null http://10.0.0.1/file & work="$work $!"
done
dd if=/dev/hwrng of=/dev/null bs=64 count=200 2>/dev/null & work="$work $!"
dd if=/dev/zero bs=64 count=500 2>/dev/null | tr "\0" . >/dev/hvc0 & work="$work $!"
# Each size is told to the host, which then gives the next.
while [ $seen -lt 20 ]; do
    now=$(cat /sys/block/vda/size)
    [ $now != $size ] && { size=$now; seen=$((seen+1)); echo "size $size"; }
    usleep 20000
done & watcher=$!
wait $work; echo "idle"
i=0; while kill -0 $watcher 2>/dev/null && [ $i -lt 600 ]; do i=$((i+1)); usleep 100000; done
set -- $(fired)
echo "@${mode}_interrupts $(( $1 - before ))"; echo "@${mode}_processors $2"
echo "done"; sleep 1
END
for mode in mmio pci; do
    for d in a b; do rm -f /tmp/$d; truncate -s 64M /tmp/$d; done; : >/tmp/console
    microvm run $files --name busy --memory 512M --cpus $cpus --transport $mode --disk path=/tmp/a,id=a,queues=$cpus --disk path=/tmp/b,queues=$cpus \
        --net tap=tap0,queues=2 --rng --console file=/dev/null --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/console 2>&1 & vmm=$!
    wait_for "ready"; echo hist:keys=reason >$exits/trigger
    n=1 busy=0
    while [ $n -lt 20 ]; do
        microvm ctl busy resize a $((64 + n))M || break
        wait_for "size $(( (64 + n) * 2048 ))"; grep -q "^size $(( (64 + n) * 2048 ))" /tmp/console || break
        grep -q "^idle" /tmp/console || busy=$((busy+1))
        n=$((n+1))
    done
    wait_for "done"
    sed -n "s/.*reason: *\([0-9]*\) .*hitcount: *\([0-9]*\).*/\1 \2/p" $exits/hist >/tmp/hist
    echo "!hist:keys=reason" >$exits/trigger
    awk -v mode=$mode "{ by = by \" \" \$1 \"=\" \$2; if (\$1 == 6) mmio = \$2; if (\$1 == 26) eoi = \$2 } END { print \"@\" mode \"_mmio\", mmio + 0; print \"@\" mode \"_eoi\", eoi + 0; print \"@\" mode \"_by\" by }" /tmp/hist
    echo "@${mode}_changes $n"; echo "@${mode}_busy $busy"
    tail -n 1 /tmp/console; wait $vmm; echo "@${mode}_code $?"; grep "^@" /tmp/console
done
LAB
expect_exit 0 "the lab ends well"
for mode in mmio pci; do
    expect_value "$mode: the guest ends well" ${mode}_code 0
    expect_at_least "$mode: interrupts of virtio devices while all are busy" ${mode}_interrupts 3000
    expect_value "$mode: processors that took them" ${mode}_processors "$cpus"
    expect_at_least "$mode: every one of 19 changes of the configuration is seen, and the first size" ${mode}_changes 20
    expect_at_least "$mode: of these while everything was busy" ${mode}_busy 5
    expect_at_most "$mode: MMIO exits, one at most for a change" ${mode}_mmio 22
    expect_value "$mode: and none for the end of an interrupt" ${mode}_eoi 0
    note "$mode: $(value_of ${mode}_interrupts) interrupts, exits by reason: $(value_of ${mode}_by)"
done
