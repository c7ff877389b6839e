# A qcow2 image with a backing file as a stock guest's disk, served by Debian's qemu-storage-daemon: ext4 on it, data of the backing file, what is written in the image alone, a larger image while the guest runs.
# tier: full
# seconds: 30
# covers: vmm/MicroVm/Virtio/VhostUser
source "$(dirname "$0")/../case.sh"
need /usr/bin/qemu-storage-daemon:qemu-system-common qemu-img:qemu-utils mkfs.ext4:e2fsprogs

truncate -s 96M "$folder/base.img"
mkdir "$folder/root"
head -c 4194304 /dev/urandom >"$folder/root/below"
mkfs.ext4 -q -d "$folder/root" "$folder/base.img"
below=$(md5sum <"$folder/root/below")

lab_run --timeout 600 --file /usr/bin/qemu-storage-daemon=/usr/bin/qemu-storage-daemon --file "$(command -v qemu-img)"=/usr/bin/qemu-img \
    --file "$folder/base.img=/srv/base.img" <<'LAB'
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
modprobe ext4
mount /dev/vda /mnt && echo "@${mode}_mounted yes"
md5sum </mnt/below | sed "s/^/@${mode}_below /"
head -c 16777216 /dev/urandom >/mnt/above; sync
md5sum </mnt/above | sed "s/^/@${mode}_above_sum /"
umount /mnt
echo "@${mode}_queues $(ls -d /sys/block/vda/mq/* | wc -l) $(cat /sys/block/vda/cache_type)"
if [ $mode = mmio ]; then
    echo ready
    n=0; until [ $(cat /sys/block/vda/size) = 262144 ] || [ $n = 200 ]; do sleep 0.1; n=$((n + 1)); done
    echo "@resized $(cat /sys/block/vda/size)"
fi
dd if=/dev/vda of=/dev/null bs=4k count=2000 iflag=direct 2>/dev/null
dmesg | sed s/^/D:/
END
cd /srv
base=$(md5sum <base.img)
serve() {
    qemu-storage-daemon --blockdev driver=file,node-name=f,filename=/srv/top.qcow2 --blockdev driver=qcow2,node-name=q,file=f \
        --export type=vhost-user-blk,id=e,node-name=q,addr.type=unix,addr.path=/tmp/blk,writable=on,num-queues=2 & backend=$!
    until [ -S /tmp/blk ]; do sleep 0.1; done
}
boot() {
    local mode=$1 flags=$2
    rm -f top.qcow2; qemu-img create -q -f qcow2 -b base.img -F raw top.qcow2
    serve
    echo hist:keys=reason >$exits/trigger
    microvm run $files --cpus 2 --memory 256M --disk vhost-user=/tmp/blk$flags --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/console & machine=$!
    if [ $mode = mmio ]; then
        n=0; until grep -q ready /tmp/console || [ $n = 600 ]; do sleep 0.2; n=$((n + 1)); done
        # The daemon of Debian 12 tells nobody of a resize; the next one has another size.
        kill $backend; wait $backend; qemu-img resize -q top.qcow2 128M; serve
    fi
    wait $machine
    echo "@${mode}_code $?"
    cat /tmp/console
    sed -n "s/.*reason: *6 .*hitcount: *\([0-9]*\).*/@${mode}_mmio \1/p" $exits/hist
    echo "!hist:keys=reason" >$exits/trigger
    kill $backend; wait $backend
    qemu-img check -q top.qcow2; echo "@${mode}_check $?"
    qemu-img convert -O raw top.qcow2 flat.img
    mount -o loop,ro flat.img /mnt; echo "@${mode}_above $(md5sum </mnt/above)"; umount /mnt
    rm -f /tmp/blk
}
modprobe -qa ext4 loop
boot mmio ""
boot pci ,transport=pci
[ "$base" = "$(md5sum <base.img)" ] && echo "@base unchanged"
microvm run $files --disk path=top.qcow2 2>&1 | sed s/^/raw:/
LAB
expect_exit 0 "the lab ends well"
for mode in mmio pci; do
    expect_value "$mode: the guest ends with 0" ${mode}_code 0
    expect_value "$mode: ext4 of the backing file is mounted" ${mode}_mounted yes
    expect_value "$mode: the backing file's data is right" ${mode}_below "$below"
    expect_value "$mode: written data is in the image, whole" ${mode}_above "$(value_of ${mode}_above_sum)"
    expect_value "$mode: the image is consistent" ${mode}_check 0
    expect_value "$mode: two queues, and a cache that the guest flushes" ${mode}_queues '2 write back'
done
expect_value "the backing file is as it was" base unchanged
expect_value "a backend that is started again with a larger image: the running guest sees the size" resized 262144
expect_at_most "exits for registers in the whole of it: none for a request" mmio_mmio 600
expect_line "a qcow2 image given as a raw one: what to do" '^raw:microvm: error: .*qcow2.*vhost-user='
refute_line "the kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|Call Trace|I/O error|EXT4-fs error|hung task)'
refute_line "this process has nothing to complain about" 'guest error'
