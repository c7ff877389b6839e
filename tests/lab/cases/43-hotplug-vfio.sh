# An NVMe disk of the host in and out of a stock Debian guest that runs, ten times; and the host that wants it back gets it, while the guest goes on.
# tier: full
# seconds: 25
# covers: vmm/MicroVm/Hotplug vmm/MicroVm/Vfio
source "$(dirname "$0")/../case.sh"

truncate -s 64M "$folder/disk"
lab_run --timeout 500 --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d" <<'LAB'
for d in /sys/bus/pci/devices/*; do [ $(cat $d/class) = 0x010802 ] && nvme=${d##*/}; done
put_script <<"SCRIPT"
modprobe -q nvme; echo running
i=0
while [ $i -lt 13 ]; do
    while ! [ -b /dev/nvme0n1 ]; do usleep 20000; done
    echo "sum $(dd if=/dev/nvme0n1 bs=64k count=16 2>/dev/null | md5sum | cut -c1-32)"
    dd if=/dev/nvme0n1 of=/tmp/part bs=64k count=16 2>/dev/null; dd if=/tmp/part of=/dev/nvme0n1 bs=64k seek=16 conv=fsync 2>/dev/null
    echo "copied $i $(sed -n "s/^ *[0-9]*: *\([0-9]*\) .*PCI-MSI.*nvme.*/\1/p" /proc/interrupts | tr "\n" " ")"
    while [ -e /dev/nvme0n1 ]; do usleep 20000; done; echo "gone $i"
    i=$((i+1))
done
SCRIPT
head -c 1048576 /dev/urandom >/tmp/new; dd if=/tmp/new of=/dev/nvme0n1 conv=fsync 2>/dev/null; echo "@wanted $(md5sum </tmp/new | cut -c1-32)"
microvm run $files --memory 256M --name web --pci-ports 2 --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>/tmp/errors & vmm=$!
wait_for running
count() { ls -l /proc/$vmm/fd | grep -vc kvm-vfio; } # which stays: a machine has one
fds=$(count)
microvm ctl web add --device $nvme 2>&1 | sed "s/^/E1:/"
microvm vfio bind $nvme
microvm ctl web add --device 0000:00:1f.7 2>&1 | sed "s/^/E2:/"
good=0; i=0
while [ $i -lt 10 ]; do
    microvm ctl web add --device $nvme >/tmp/added || break
    wait_for "copied $i"
    microvm ctl web remove $nvme && good=$((good+1)); wait_for "gone $i"
    i=$((i+1))
done
echo "@rounds $good"; sed "s/^/A:/" /tmp/added
echo "@left $(( $(count) - fds ))"
microvm ctl web add --device $nvme >/dev/null; wait_for "copied 10"
microvm ctl web add --device $nvme 2>&1 | sed "s/^/E3:/"
microvm ctl web list | sed "s/^/L:/"
# The host takes it back for its own driver: the kernel asks whoever has it.
microvm vfio unbind $nvme; echo "@unbind $?"; wait_for "gone 10"
for w in $(seq 100); do [ -b /dev/nvme0n1 ] && break; usleep 100000; done
dd if=/dev/nvme0n1 bs=64k skip=16 count=16 2>/dev/null | cmp - /tmp/new && echo "@host right"
microvm ctl web list | grep -c vfio | sed "s/^/@after /"
# And gives it once more.
microvm vfio bind $nvme; microvm ctl web add --device $nvme >/dev/null; echo "@again $?"; wait_for "copied 11"
microvm ctl web remove $nvme --force; echo "@pulled $?"; wait_for "gone 11"
grep -E "^(sum|copied)" /tmp/console; sed "s/^/S:/" /tmp/errors
kill -0 $vmm && echo "@runs yes"
microvm ctl web stop; wait $vmm; echo "@code $?"
# There from the start, in a slot: the host gets it back from a guest that goes on.
microvm run $files --memory 256M --name two --pci-ports 1 --device $nvme --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>>/tmp/errors & vmm=$!
wait_for "copied 0"; microvm ctl two list | sed "s/^/M:/"
microvm vfio unbind $nvme; echo "@early $?"; wait_for "gone 0"; microvm ctl two info >/dev/null; echo "@goes_on $?"
microvm ctl two stop; wait $vmm
dmesg | grep -cE "WARNING:|BUG:|Oops|DMAR:.*fault" | sed "s/^/@splat /"
LAB
expect_exit 0 "the lab ends well"
expect_line "a device that its driver has is refused" '^E1:microvm: error: the device is not free for a guest, 0000:00:.*it is bound to nvme\. microvm vfio bind'
expect_line "and one that is not there" '^E2:microvm: error: '
expect_value "in and out ten times" rounds 10
expect_line "add says what it became" '^A:place +0[12]:00\.0'
check "the guest read what the host wrote, each time" "$(grep -c "^sum $(value_of wanted)" "$out") of 12" test "$(grep -c "^sum $(value_of wanted)" "$out")" == 12
expect_line "by MSI-X" '^copied 9 .*[1-9]'
expect_value "no descriptor is left behind" left 0
expect_line "twice is refused" '^E3:microvm: error: a device is assigned twice'
expect_line "list names it by its address on the host" '^L:0000:00:[0-9a-f.]+ +vfio 0000:00'
expect_value "the host wants it back and gets it" unbind 0
expect_value "with what the guest wrote" host right
expect_value "the guest has it no more" after 0
expect_value "and takes it again" again 0
expect_value "it can be pulled" pulled 0
expect_value "and all the time the machine runs" runs yes
expect_value "until it is stopped" code 125
expect_line "given at start it is in a slot" '^M:0000:00:[0-9a-f.]+ +vfio 0000:00:[0-9a-f.]+ +01:00\.0'
expect_value "from which the host gets it back too" early 0
expect_value "and the guest goes on" goes_on 0
expect_value "the host's kernel has nothing to complain about" splat 0
