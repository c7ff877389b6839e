# A folder of the host in a stock guest, over both transports, with Debian's virtiofsd: files made, renamed, linked and removed on one side are so on the other, and big ones are the same bytes.
# tier: full
# seconds: 55
# covers: vmm/MicroVm/Virtio/VhostUser
source "$(dirname "$0")/../case.sh"
need /usr/lib/qemu/virtiofsd:qemu-system-common

lab_run --timeout 600 --file /usr/lib/qemu/virtiofsd=/usr/bin/virtiofsd <<'LAB'
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
modprobe virtiofs
mount -t virtiofs share /mnt && echo "@${mode}_mounted yes"
cd /mnt
echo "@${mode}_host_file $(cat from-host)"
md5sum <big | sed "s/^/@${mode}_down /"
head -c 8388608 /dev/urandom >up && md5sum <up | sed "s/^/@${mode}_up_sum /"
mkdir dir && echo one >dir/a && mv dir/a dir/b && ln -s b dir/link && ln dir/b dir/hard && rm doomed
echo "@${mode}_through_link $(cat dir/link)"
chmod 640 dir/b
i=0; while [ $i -lt 300 ]; do echo $i >dir/n$i; i=$((i + 1)); done
echo "@${mode}_count $(ls dir | wc -l)"
[ -e missing ] || echo "@${mode}_missing yes"
rmdir dir 2>/dev/null || echo "@${mode}_not_empty yes"
cd /; umount /mnt && mount -t virtiofs share /mnt && echo "@${mode}_again $(cat /mnt/dir/b)"
umount /mnt
dmesg | sed s/^/D:/
END
boot() {
    local mode=$1 flags=$2
    rm -rf /srv; mkdir /srv; cd /srv
    echo hello >from-host; echo x >doomed; head -c 16777216 /dev/urandom >big
    echo "@${mode}_down_sum $(md5sum <big)"
    cd /
    virtiofsd --socket-path=/tmp/fs -o source=/srv -o cache=none -o sandbox=chroot -o log_level=err & backend=$!
    until [ -S /tmp/fs ]; do sleep 0.1; done
    echo hist:keys=reason >$exits/trigger
    microvm run $files --memory 256M --fs tag=share,socket=/tmp/fs$flags --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script"
    echo "@${mode}_code $?"
    sed -n "s/.*reason: *6 .*hitcount: *\([0-9]*\).*/@${mode}_mmio \1/p" $exits/hist
    echo "!hist:keys=reason" >$exits/trigger
    wait $backend
    cd /srv
    echo "@${mode}_up $(md5sum <up)"
    echo "@${mode}_names $(ls | tr "\n" " ")"
    echo "@${mode}_b $(cat dir/b) $(stat -c %a dir/b) $(stat -c %h dir/b) $(readlink dir/link)"
    cd /; rm -f /tmp/fs
}
boot mmio ""
boot pci ,transport=pci
# A DIMM that comes while the backend serves is where the guest reads into: three times its memory of the start do not fit elsewhere.
put_script <<"END"
mkdir /t; modprobe virtiofs
echo online_movable >/sys/devices/system/memory/auto_online_blocks
mount -t virtiofs share /mnt; echo ready
until [ $(sed -n "s/^MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo) -gt 500000 ]; do usleep 20000; done
mount -t tmpfs -o size=90% t /t; dd if=/dev/zero of=/t/fill bs=1M count=250 2>/dev/null
i=0; while [ $i -lt 4 ]; do cp /mnt/big /t/big$i; i=$((i + 1)); done
echo "@dimm_down $(cat /t/big0 /t/big1 /t/big2 /t/big3 | md5sum)"
cp /t/big3 /mnt/up; rm /t/*; echo 3 >/proc/sys/vm/drop_caches; echo full
until [ $(sed -n "s/^MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo) -lt 500000 ]; do usleep 20000; done
echo "@dimm_after $(md5sum </mnt/big)"; umount /mnt
END
rm -rf /srv; mkdir /srv; cd /srv; head -c 16777216 /dev/urandom >big; cd /
echo "@dimm_sum $(cat /srv/big /srv/big /srv/big /srv/big | md5sum)"; echo "@dimm_big $(md5sum </srv/big)"
virtiofsd --socket-path=/tmp/fs -o source=/srv -o cache=none -o sandbox=chroot -o log_level=err & backend=$!
until [ -S /tmp/fs ]; do sleep 0.1; done
microvm run $files --name fs --memory 192M --max-memory 1G --fs tag=share,socket=/tmp/fs --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>&1 & vmm=$!
wait_for ready; microvm ctl fs add --memory 512M; echo "@dimm_add $?"
wait_for full; microvm ctl fs remove dimm0 --wait 40; echo "@dimm_remove $?"
wait $vmm; echo "@dimm_code $?"; cat /tmp/console; echo "@dimm_up $(md5sum </srv/up)"
kill $backend 2>/dev/null; wait $backend; rm -f /tmp/fs
microvm run $files --fs tag=share,socket=/tmp/fs 2>&1 | sed s/^/none:/; 
LAB
expect_exit 0 "the lab ends well"
for mode in mmio pci; do
    expect_value "$mode: the guest ends with 0" ${mode}_code 0
    expect_value "$mode: the guest mounts it" ${mode}_mounted yes
    expect_value "$mode: the guest reads the host's file" ${mode}_host_file hello
    expect_value "$mode: 16 MiB of the host are the same in the guest" ${mode}_down "$(value_of ${mode}_down_sum)"
    expect_value "$mode: 8 MiB of the guest are the same on the host" ${mode}_up "$(value_of ${mode}_up_sum)"
    expect_value "$mode: a symbolic link leads to the renamed file" ${mode}_through_link one
    expect_value "$mode: the host sees what was renamed, linked and made private" ${mode}_b 'one 640 2 b'
    expect_value "$mode: and what was removed" ${mode}_names 'big dir from-host up '
    expect_value "$mode: 300 files and three names are listed" ${mode}_count 303
    expect_value "$mode: errors are the host's: no such file" ${mode}_missing yes
    expect_value "$mode: errors are the host's: folder not empty" ${mode}_not_empty yes
    expect_value "$mode: unmounted and mounted again" ${mode}_again one
done
expect_value "a DIMM comes while the backend serves" dimm_add 0
expect_value "64 MiB of the host fill it" dimm_down "$(value_of dimm_sum)"
expect_value "and go back from it" dimm_up "$(value_of dimm_big)"
expect_value "it goes" dimm_remove 0
expect_value "the backend serves on" dimm_after "$(value_of dimm_big)"
expect_value "and the guest ends with 0" dimm_code 0
expect_at_most "exits for registers in the whole of it: none for a request" mmio_mmio 200
expect_line "without a backend: what to start" '^none:microvm: error: cannot reach the backend of a virtio-fs device, /tmp/fs: .*Start the backend first: virtiofsd '
refute_line "the kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|Call Trace|virtio-fs.*error|hung task)'
refute_line "this process has nothing to complain about" 'guest error'
