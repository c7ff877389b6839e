# A disk that grows while the guest runs, one that is held to limits, and one that the host's kernel denies io_uring for.
# tier: full
# seconds: 45
# covers: vmm/MicroVm/Virtio/Block
source "$(dirname "$0")/../case.sh"
need fio:fio strace:strace

lab_run --timeout 420 --memory 4096 --file "$(command -v fio)=/usr/bin/fio" --file "$(command -v strace)=/usr/bin/strace" <<'LAB'
put_script <<"SCRIPT"
mode=$(sed "s/.*mode=\([a-z0-9]*\).*/\1/" /proc/cmdline)
case $mode in
grow*)
    echo "@${mode}_before $(cat /sys/block/vda/size)"
    mkfs.ext2 /dev/vda >/dev/null 2>&1
    echo "ready"
    i=0; while [ $i -lt 300 ] && [ $(cat /sys/block/vda/size) != 262144 ]; do i=$((i+1)); usleep 100000; done
    echo "@${mode}_grown $(cat /sys/block/vda/size)"
    echo "grown"
    i=0; while [ $i -lt 300 ] && [ $(cat /sys/block/vda/size) != 393216 ]; do i=$((i+1)); usleep 100000; done
    echo "@${mode}_again $(cat /sys/block/vda/size)"
    dd if=/dev/urandom of=/tmp/x bs=4096 count=1 2>/dev/null
    dd if=/tmp/x of=/dev/vda bs=4096 seek=49151 conv=fsync 2>/dev/null
    dd if=/dev/vda bs=4096 skip=49151 count=1 2>/dev/null | cmp - /tmp/x && echo "@${mode}_end same"
    exit 0 ;;
iops*|bps*)
    fio --name=r --filename=/dev/vda --rw=randread --bs=4k --size=64M --ioengine=libaio --direct=1 --iodepth=16 --runtime=20 --time_based --minimal >/tmp/out 2>/dev/null
    # KiB read, and milliseconds as this guest counts them
    echo "@${mode}_kib $(cut -d";" -f6 /tmp/out)"; echo "@${mode}_ms $(cut -d";" -f9 /tmp/out)" ;;
denied) dd if=/dev/vda of=/dev/null bs=4096 count=100 2>/dev/null && echo "@denied_read yes" ;;
esac
SCRIPT
add_program /usr/bin/fio
grow() {
    mode=$1
    rm -f /tmp/disk; truncate -s 64M /tmp/disk; : >/tmp/console
    microvm run $files --name live --memory 512M --disk path=/tmp/disk,id=data$2 --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/console &
    vmm=$!
    wait_for ready
    microvm ctl live resize data 1M; echo "@${mode}_smaller $?"
    microvm ctl live resize nothing 1G; echo "@${mode}_nobody $?"
    microvm ctl live resize data 128M; echo "@${mode}_asked $?"
    wait_for "grown"
    truncate -s 192M /tmp/disk
    microvm ctl live resize data; echo "@${mode}_reread $?"
    wait $vmm; echo "@${mode}_code $?"; grep "^@" /tmp/console
    echo "@${mode}_size $(stat -c %s /tmp/disk)"
}
grow growmmio ""
grow growpci ,transport=pci
truncate -s 64M /tmp/limited
limit() { mode=$1; run --memory 512M --disk path=/tmp/limited,$2 --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script"; }
limit iops200 iops=200
limit bps1m bps=1M,burst=500
# As under a filter of system calls.
deny() { strace -f -qq -o /dev/null -e trace=io_uring_setup -e inject=io_uring_setup:error=EPERM microvm run $files --memory 512M --cmdline "console=ttyS0 quiet mode=denied microvm.exec=sh /script" "$@"; }
deny --disk path=/tmp/limited,queues=2; echo "@denied_code $?"
deny --disk path=/tmp/limited,aio=io_uring; echo "@insists_code $?"
LAB

expect_exit 0 "the lab ends well"
for mode in growmmio growpci; do
    expect_value "$mode: the guest ends well" ${mode}_code 0
    expect_value "$mode: 64 MiB at first" ${mode}_before 131072
    expect_value "$mode: resize is taken" ${mode}_asked 0
    expect_value "$mode: the guest sees 128 MiB" ${mode}_grown 262144
    expect_value "$mode: a size given from outside is taken over" ${mode}_again 393216
    expect_value "$mode: the new end can be written and read" ${mode}_end same
    expect_value "$mode: a smaller one is refused" ${mode}_smaller 127
    expect_value "$mode: so is one for nobody" ${mode}_nobody 127
    expect_value "$mode: nothing else changed the file's size" ${mode}_size 201326592
done
# 20 seconds at the rate and a burst of 0.1 s or 0.5 s, 10 percent on either side for a clock of a busy lab.
within() { # within NAME KIB MILLISECONDS KIB-A-SECOND BURST-KIB
    check "$1 (${2:-?} KiB in ${3:-?} ms)" 'out of bounds' awk -v k="${2:-0}" -v ms="${3:-0}" -v r="$4" -v b="$5" 'BEGIN { want = r * ms / 1000; exit !(ms > 10000 && k <= want * 1.1 + b && k >= want * 0.8) }'
}
within "200 operations a second hold" "$(value_of iops200_kib | tr -d '\r')" "$(value_of iops200_ms | tr -d '\r')" 800 80
within "1 MiB a second holds" "$(value_of bps1m_kib | tr -d '\r')" "$(value_of bps1m_ms | tr -d '\r')" 1024 512
expect_line "where io_uring is denied, the user is told" 'microvm: note: disk /tmp/limited: no io_uring \(Operation not permitted\)'
expect_value "and the disk works" denied_read yes
expect_value "to the end" denied_code 0
expect_value "who insists on it is refused" insists_code 125
expect_line "with what to do" 'error: the host gives no io_uring, Operation not permitted\. Leave aio=io_uring away'
