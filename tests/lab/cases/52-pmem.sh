# A file as /dev/pmem0 of a stock guest: ext4 on it is written and found again in the file, read-only keeps it as it is, and a file cut short under the guest ends neither guest nor monitor.
# tier: full
# seconds: 35
# covers: vmm/MicroVm/Virtio/Pmem vmm/MicroVm/Memory
source "$(dirname "$0")/../case.sh"
need mkfs.ext4:e2fsprogs

truncate -s 32M "$folder/p.img"
mkfs.ext4 -q -F -b 4096 -O ^has_journal "$folder/p.img"
lab_run --timeout 240 --file "$folder/p.img=/p.img" <<'LAB'
put_script <<"SCRIPT"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
modprobe -a virtio_pmem nd_pmem ext4
i=0; while [ ! -b /dev/pmem0 ] && [ $i -lt 50 ]; do usleep 100000; i=$((i+1)); done
echo "@${mode}_bytes $(( $(cat /sys/block/pmem0/size) * 512 ))"
mkdir /p
case $mode in
write*)
    mount -t ext4 -o dax /dev/pmem0 /p 2>/dev/null && echo "@${mode}_dax yes" || mount -t ext4 /dev/pmem0 /p
    head -c 8388608 /dev/urandom >/p/data; sync
    echo "@${mode}_sum $(md5sum </p/data | cut -c1-32)"; umount /p ;;
read)
    mount -t ext4 -o ro /dev/pmem0 /p && echo "@read_sum $(md5sum </p/data | cut -c1-32)"
    dd if=/dev/zero of=/dev/pmem0 bs=4096 count=256 2>/dev/null; sync
    echo "@read_alive yes" ;;
cut)
    echo cutting >/dev/console; sleep 3
    dd if=/dev/pmem0 of=/dev/null bs=1M skip=16 2>/dev/null; echo "@cut_read $?"
    dd if=/dev/zero of=/dev/pmem0 bs=4096 count=4 seek=6000 conv=fsync 2>/dev/null; echo "@cut_flush $?"
    echo "@cut_alive yes" ;;
esac
dmesg | sed s/^/D:/
SCRIPT
boot() { local mode=$1; shift; run --memory 256M "$@" --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/console 2>/tmp/errors; echo "@${mode}_code $?"; sed "s/\r//" /tmp/console; sed "s/^/$mode:/" /tmp/errors; }
look() { mkdir -p /mnt; mount -o loop,ro -t ext4 /p.img /mnt && { echo "@$1 $(md5sum </mnt/data | cut -c1-32)"; umount /mnt; }; }
modprobe -a loop ext4 2>/dev/null
boot write --pmem path=/p.img; look write_file
boot writepci --pmem path=/p.img,transport=pci; look writepci_file
before=$(md5sum </p.img); boot read --pmem path=/p.img,ro; [ "$before" = "$(md5sum </p.img)" ] && echo "@read_same yes"
( for i in $(seq 200); do grep -q cutting /tmp/console && break; sleep 0.2; done; truncate -s 8M /p.img ) &
boot cut --pmem path=/p.img
wait; echo "@cut_size $(stat -c %s /p.img)"
truncate -s 33M /p.img; run --pmem path=/p.img 2>&1 | sed "s/^/E:/"; true
LAB
expect_exit 0 "the lab ends well"
for mode in write writepci; do
    expect_value "$mode: the guest has the whole file" ${mode}_bytes 33554432
    expect_value "$mode: the file has what the guest wrote" ${mode}_file "$(value_of ${mode}_sum)"
    expect_value "$mode: the guest ends well" ${mode}_code 0
done
note "mounted with dax, without copies: $(value_of write_dax)"
expect_value "read-only: the guest reads it" read_sum "$(value_of writepci_sum)"
expect_value "read-only: the guest that writes goes on" read_alive yes
expect_value "read-only: the file is as it was" read_same yes
expect_value "cut short: the guest goes on" cut_alive yes
expect_value "cut short: it ends by itself" cut_code 0
expect_value "cut short: its flush fails" cut_flush '[1-9][0-9]*'
expect_value "cut short: the file stays as it was cut" cut_size 8388608
expect_line "cut short: one line says so" "^cut:microvm: error: a part of the guest's persistent memory is gone, /p\.img"
expect_line "a file of a wrong size is refused with what to do" '^E:microvm: error: cannot use the file.*truncate -s %2M'
refute_line "the kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|Call Trace)'
