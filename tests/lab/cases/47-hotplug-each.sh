# One of each kind in and out of one stock Debian guest that runs: a virtio disk, an NVMe disk of the host, a CPU, a DIMM.
# What each one does at length is in 41 to 44.
# tier: core
# seconds: 20
# covers: vmm/MicroVm/Hotplug vmm/MicroVm/Pci vmm/MicroVm/Vfio vmm/MicroVm/Memory vmm/MicroVm/Devices/AcpiGed vmm/MicroVm/Devices/AcpiUnit vmm/MicroVm/Devices/AcpiMemory acpi.def devices.def
source "$(dirname "$0")/../case.sh"

truncate -s 16M "$folder/disk"
lab_run --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d" <<'LAB'
for d in /sys/bus/pci/devices/*; do [ "$(cat $d/class)" = 0x010802 ] && nvme=${d##*/}; done
head -c 1048576 /dev/urandom >/tmp/new
dd if=/tmp/new of=/dev/nvme0n1 conv=fsync 2>/dev/null
cp /tmp/new /tmp/a.img
echo "@wanted $(md5sum </tmp/new | cut -c1-32)"
put_script <<"SCRIPT"
sum() { dd if=$1 bs=64k count=16 2>/dev/null | md5sum | cut -c1-32; }
total() { sed -n 's/MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo; }
until_there() { while ! [ -e $1 ]; do usleep 20000; done; }
until_gone() { while [ -e $1 ]; do usleep 20000; done; }
modprobe -q nvme
echo online_movable >/sys/devices/system/memory/auto_online_blocks
before=$(total)
echo "running"
for disk in vda nvme0n1; do
    until_there /dev/$disk; echo "$disk $(sum /dev/$disk)"
    until_gone /dev/$disk; echo "gone $disk"
done
cpu=/sys/devices/system/cpu/cpu1
until_there $cpu; echo 1 >$cpu/online
echo "cpu $(taskset -c 1 sh -c 'cut -d" " -f39 /proc/self/stat') $(nproc)"
until_gone $cpu; echo "gone cpu"
while [ $(total) = $before ]; do usleep 20000; done; echo "more $(( $(total) - before ))"
while [ $(total) != $before ]; do usleep 20000; done; echo "gone dimm"
dmesg | grep -E 'WARNING:|BUG:|Oops|ACPI Error|ACPI Exception' | sed 's/^/D:/'
SCRIPT
microvm run $files --memory 256M --name web --pci-ports 1 --max-cpus 4 --max-memory 1G \
    --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>/tmp/errors &
vmm=$!
wait_for running
microvm ctl web add --disk path=/tmp/a.img,id=data --wait 40; echo "@add_disk $?"
wait_for vda
microvm ctl web remove data; echo "@remove_disk $?"
wait_for 'gone vda'
microvm vfio bind $nvme
microvm ctl web add --device $nvme; echo "@add_nvme $?"
wait_for nvme0n1
microvm ctl web remove $nvme; echo "@remove_nvme $?"
wait_for 'gone nvme0n1'
microvm ctl web resize --cpus 2 --wait 40; echo "@add_cpu $?"
wait_for 'cpu '
microvm ctl web resize --cpus 1 --wait 40; echo "@remove_cpu $?"
wait_for 'gone cpu'
microvm ctl web add --memory 256M --wait 40; echo "@add_dimm $?"
wait_for more
microvm ctl web remove dimm0 --wait 40; echo "@remove_dimm $?"
wait_for 'gone dimm'
wait $vmm
echo "@code $?"
cat /tmp/console
LAB
expect_exit 0 "the lab ends well"
for kind in disk nvme cpu dimm; do
    expect_value "$kind: it is plugged in" "add_$kind" 0
    expect_value "$kind: it is taken out" "remove_$kind" 0
done
expect_line "the guest reads the virtio disk" "^vda $(value_of wanted)"
expect_line "the guest reads the disk of the host" "^nvme0n1 $(value_of wanted)"
expect_line "the new CPU runs what is sent there" '^cpu 1 2'
expect_line "the guest has the memory" '^more 2[0-9]{5}'
expect_line "and gives all of it back" '^gone dimm'
expect_value "the guest ends well" code 0
refute_line "the guest's kernel has nothing to complain about" '^D:'
