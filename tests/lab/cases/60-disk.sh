# A stock guest's fio checks every block that it wrote, over several queues, on both transports and through both engines; what it discards is free again.
# tier: full
# seconds: 65
# covers: vmm/MicroVm/Virtio/Block vmm/MicroVm/Virtio/Queue
source "$(dirname "$0")/../case.sh"
need fio:fio

fio=$(command -v fio)
lab_run --timeout 600 --memory 4096 --file "$fio=/usr/bin/fio" <<'LAB'
put_script <<"SCRIPT"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
echo "@${mode}_queues $(ls /sys/block/vda/mq | wc -l)"
fio --name=verify --filename=/dev/vda --rw=randwrite --bsrange=512-64k --size=24M --ioengine=libaio --iodepth=32 --direct=1 --numjobs=2 --offset_increment=32M \
    --verify=crc32c --verify_fatal=1 --do_verify=1 --fsync=100 --minimal >/tmp/fio.out 2>&1
echo "@${mode}_verify $?"
sync
echo "@${mode}_discard $(cat /sys/block/vda/queue/discard_max_bytes)"
blkdiscard -o 67108864 -l 33554432 /dev/vda && echo "@${mode}_discarded yes"
echo "@${mode}_zero $(cat /sys/block/vda/queue/write_zeroes_max_bytes)"
echo "@${mode}_serial $(cat /sys/block/vda/serial)"
echo "@${mode}_physical $(cat /sys/block/vda/queue/physical_block_size)"
echo "@${mode}_cache $(cat /sys/block/vda/queue/write_cache)"
SCRIPT
add_program /usr/bin/fio
mkdir /data; mount -t tmpfs -o size=600m tmpfs /data
try() {
    mode=$1; shift
    rm -f /data/disk; head -c 134217728 /dev/urandom >/data/disk
    before=$(stat -c %b /data/disk)
    run --cpus 2 --memory 512M --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" "$@"
    echo "@${mode}_code $?"
    echo "@${mode}_freed $(( (before - $(stat -c %b /data/disk)) / 2048 ))"
    echo "@${mode}_size $(stat -c %s /data/disk)"
}
try mmio --disk path=/data/disk,queues=4,serial=sn-1,aio=io_uring
try pci --disk path=/data/disk,queues=4,serial=sn-1,aio=io_uring,transport=pci
try threads --disk path=/data/disk,queues=2,serial=sn-1,aio=threads
LAB

expect_exit 0 "the lab ends well"
for mode in mmio pci threads; do
    expect_value "$mode: the guest ends well" ${mode}_code 0
    expect_value "$mode: fio finds each block as it wrote it" ${mode}_verify 0
    expect_value "$mode: a queue for each vCPU" ${mode}_queues 2
    expect_value "$mode: blkdiscard is taken" ${mode}_discarded yes
    expect_at_least "$mode: MiB that the discard freed" ${mode}_freed 31
    expect_value "$mode: the image keeps its size" ${mode}_size 134217728
    expect_value "$mode: serial number" ${mode}_serial sn-1
    expect_value "$mode: physical block" ${mode}_physical 4096
    expect_value "$mode: the guest knows of the cache" ${mode}_cache 'write back'
done
