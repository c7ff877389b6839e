# Backends killed (SIGKILL) under load and started again. A disk whose backend keeps no write cache goes on as if it had been slow: what was written is there. A shared folder's requests fail until it is mounted again. The machine never ends, and keeps no descriptor.
# tier: full
# seconds: 30
# covers: vmm/MicroVm/Virtio/VhostUser
# rows: R1
source "$(dirname "$0")/../case.sh"
need /usr/bin/qemu-storage-daemon:qemu-system-common qemu-img:qemu-utils /usr/lib/qemu/virtiofsd:qemu-system-common mkfs.ext4:e2fsprogs

truncate -s 128M "$folder/base.img"
mkfs.ext4 -q "$folder/base.img"

lab_run --timeout 600 --file /usr/bin/qemu-storage-daemon=/usr/bin/qemu-storage-daemon --file "$(command -v qemu-img)"=/usr/bin/qemu-img --file /usr/lib/qemu/virtiofsd=/usr/bin/virtiofsd \
    --file "$folder/base.img=/img/base.img" <<'LAB'
put_script <<"END"
modprobe -a ext4 virtiofs
mount /dev/vda /mnt
mkdir /fs; mount -t virtiofs share /fs && echo "@fs_mounted yes"
echo "ready disk"
mkdir /tmp/in; i=0
while [ $i -lt 12 ]; do
    head -c 3000000 /dev/urandom >/tmp/f; sum=$(md5sum </tmp/f); cp /tmp/f /mnt/f$i; sync; echo "$sum" >/tmp/in/$i; i=$((i + 1)); echo "wrote $i"
done
umount /mnt; mount /dev/vda /mnt
good=0; i=0
while [ $i -lt 12 ]; do [ "$(md5sum </mnt/f$i)" = "$(cat /tmp/in/$i)" ] && good=$((good + 1)); i=$((i + 1)); done
echo "@good $good"
umount /mnt
echo "ready fs"
(while :; do head -c 200000 /dev/zero >/fs/x 2>/dev/null && cat /fs/x >/dev/null 2>/dev/null || { echo failed; break; }; done) >/tmp/loop &
n=0; until [ -s /tmp/loop ] || [ $n = 300 ]; do sleep 0.1; n=$((n + 1)); done
echo "@fs_loop $(cat /tmp/loop)"
wait
umount /fs && echo "@fs_unmounted yes"
n=0; until mount -t virtiofs share /fs 2>/dev/null || [ $n = 50 ]; do sleep 0.2; n=$((n + 1)); done
echo "@fs_again $(cat /fs/kept)"
dmesg | sed s/^/D:/
END
disk() {
    qemu-storage-daemon --blockdev driver=file,node-name=f,filename=/img/top.qcow2 --blockdev driver=qcow2,node-name=q,file=f \
        --export type=vhost-user-blk,id=e,node-name=q,addr.type=unix,addr.path=/tmp/blk,writable=on,writethrough=on & disk=$!
}
share() { rm -f /tmp/fs; virtiofsd --socket-path=/tmp/fs -o source=/srv -o cache=none -o sandbox=chroot -o log_level=err 2>/dev/null & share=$!; }
await() { n=0; until grep -q "$1" /tmp/console || [ $n = 900 ]; do sleep 0.1; n=$((n + 1)); done; }
mkdir -p /srv; echo kept >/srv/kept
cd /img; qemu-img create -q -f qcow2 -b base.img -F raw top.qcow2
disk; share
until [ -S /tmp/blk ] && [ -S /tmp/fs ]; do sleep 0.1; done
microvm run $files --cpus 2 --memory 256M --disk vhost-user=/tmp/blk --fs tag=share,socket=/tmp/fs --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>/tmp/notes & machine=$!
await "ready disk"
before=$(ls /proc/$machine/fd | wc -l)
for round in 2 5 8; do
    await "wrote $round"
    kill -9 $disk; wait $disk 2>/dev/null
    ticks=$(awk "{ print \$14 + \$15 }" /proc/$machine/stat)
    sleep 1
    echo "@away_ticks_$round $(( $(awk "{ print \$14 + \$15 }" /proc/$machine/stat) - ticks ))"
    disk
done
await "ready fs"
sleep 1
kill -9 $share; wait $share 2>/dev/null
share
n=0; until [ "$(ls /proc/$machine/fd | wc -l)" = "$before" ] || [ $n = 100 ]; do sleep 0.1; n=$((n + 1)); done
echo "@descriptors $(( $(ls /proc/$machine/fd | wc -l) - before ))"
wait $machine
echo "@code $?"
cat /tmp/console; sed s/^/N:/ /tmp/notes
kill $disk; wait $disk
qemu-img check -q top.qcow2; echo "@check $?"
LAB
expect_exit 0 "the lab ends well"
expect_value "the guest ends with 0" code 0
expect_value "12 files written across three kills are whole" good 12
expect_value "the image is consistent, or has lost clusters at most" check '0|3'
expect_value "the folder was mounted" fs_mounted yes
expect_value "a shared folder whose backend died gives errors, and does not hang" fs_loop failed
expect_value "it can be unmounted" fs_unmounted yes
expect_value "and mounted again from the next backend" fs_again kept
expect_value "no descriptor is left of four backends" descriptors 0
expect_line "the user hears that the disk's backend is gone" '^N:microvm: note: virtio-block: the backend at /tmp/blk closed the connection'
expect_line "and that it is back" '^N:microvm: note: virtio-block: the backend at /tmp/blk is back'
expect_line "and of the folder's" '^N:microvm: note: virtio-fs: the backend at /tmp/fs is back'
check "notes are few: $(grep -c '^N:' "$out")" "more than 30" test "$(grep -c '^N:' "$out")" -le 30
note "processor time in 1 s without the disk's backend, in ticks of 10 ms, guest included: $(value_of away_ticks_2) $(value_of away_ticks_5) $(value_of away_ticks_8)"
refute_line "the kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|Call Trace|I/O error, dev vda|EXT4-fs error|id .* is not a head|hung task)'
refute_line "this process has nothing to complain about" 'guest error'
