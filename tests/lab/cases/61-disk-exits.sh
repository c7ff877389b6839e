# What an I/O of a disk costs, counted: exits to the VMM, system calls, memory and collections of the VMM.
# tier: full
# seconds: 70
# covers: vmm/MicroVm/Virtio/Block vmm/MicroVm/Virtio/Queue
source "$(dirname "$0")/../case.sh"
need fio:fio

lab_run --timeout 420 --memory 4096 --file "$(command -v fio)=/usr/bin/fio" <<'LAB'
modprobe null_blk nr_devices=1 queue_mode=2 memory_backed=1 gb=1 bs=4096 irqmode=0
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit enters=/sys/kernel/tracing/events/syscalls/sys_enter_io_uring_enter
put_script <<"SCRIPT"
mode=$(sed "s/.*mode=\([a-z0-9]*\).*/\1/" /proc/cmdline)
read_some() { size=$1; shift; fio --name=r --filename=/dev/vda --rw=randread --bs=4k --size=128M --io_size=$size --ioengine=libaio --direct=1 --iodepth=32 "$@" --minimal >/tmp/out && cut -d";" -f6 /tmp/out; }
# First what is made once; then a mark, and the host looks.
read_some 8M >/dev/null
echo "warm-each"; sleep 3; echo "@${mode}_each_kib $(read_some 128M)"; echo "done-each"; sleep 3
echo "warm-batch"; sleep 3; echo "@${mode}_batch_kib $(read_some 128M --iodepth_batch=16 --iodepth_batch_complete_min=16)"; echo "done-batch"; sleep 3
SCRIPT
add_program /usr/bin/fio
hits() { awk "/hitcount/ { n += \$NF } END { print n + 0 }" $1/hist; }
memory() { microvm ctl bench info --json >/tmp/info; sed "s/.*\"collections\": *\([0-9]*\).*\"allocated\": *\([0-9]*\).*/\1 \2/" /tmp/info; }
watch() {
    key=$1; wait_for warm-$how
    memory >/dev/null; set -- $(memory); c0=$1 a0=$2; set -- $(memory); own=$(($2 - a0)); a1=$2
    echo hist:keys=common_pid >$exits/trigger; echo hist:keys=common_pid >$enters/trigger
    wait_for done-$how
    echo "@${key}_exits $(hits $exits)"; echo "@${key}_enters $(hits $enters)"
    echo "!hist:keys=common_pid" >$exits/trigger; echo "!hist:keys=common_pid" >$enters/trigger
    set -- $(memory); echo "@${key}_collections $(($1 - c0))"; echo "@${key}_allocated $(($2 - a1 - own))"
}
count() {
    mode=$1; shift
    : >/tmp/console
    microvm run $files --name bench --memory 512M --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" "$@" >/tmp/console &
    vmm=$!
    for how in each batch; do watch ${mode}_$how; done
    wait $vmm; echo "@${mode}_code $?"; grep "^@" /tmp/console
}
count mmio --disk path=/dev/nullb0
count pci --disk path=/dev/nullb0,transport=pci
LAB

expect_exit 0 "the lab ends well"
for mode in mmio pci; do
    expect_value "$mode: the guest ends well" ${mode}_code 0
    for how in each batch; do
        key=${mode}_$how
        kib=$(value_of ${key}_kib | tr -d '\r')
        expect_at_least "$mode, $how: requests of 4 KiB at queue depth 32, in KiB" ${key}_kib 131072
        expect_at_most "$mode, $how: exits to the VMM, of 32,768 requests" ${key}_exits 1600
        # A guest that asks for each by itself, and is slower than its disk, leaves nothing to gather: then a call for each.
        [[ $how == each ]] && calls=32768 || calls=4096
        expect_at_most "$mode, $how: calls of io_uring_enter" ${key}_enters $calls
        expect_value "$mode, $how: no collection" ${key}_collections 0
        expect_at_most "$mode, $how: bytes allocated meanwhile, beyond what asking costs" ${key}_allocated 8192
        note "$mode, $how: for each request $(awk -v e="$(value_of ${key}_exits)" -v s="$(value_of ${key}_enters)" -v k="${kib:-0}" 'BEGIN { if (k) printf "%.4f exits, %.3f io_uring_enter", e * 4 / k, s * 4 / k }')"
    done
done
