# A stock Debian guest on PCI: eight virtio functions, on bus 0 and behind root ports; MSI-X, drivers bound and unbound, functions removed and
# found again, a BAR moved; configuration space read without an exit.
# tier: core
# seconds: 60
# covers: vmm/MicroVm/Pci vmm/MicroVm/Virtio/Pci vmm/MicroVm/Acpi acpi.def devices.def
source "$(dirname "$0")/../case.sh"
need iasl:acpica-tools

lab_run --memory 4096 --timeout 900 <<'LAB'
t=/sys/kernel/tracing/events/kvm
for d in a b c d e f g; do truncate -s 16M /tmp/$d.img; done
head -c 8388608 /dev/urandom >/tmp/data; md5sum </tmp/data | cut -c1-32 >/tmp/data.sum
disks() { for d in a b c d e f; do printf " --disk path=/tmp/$d.img"; done; }
# count NAME ARGUMENTS...: boots, and hands over the exits by reason, and those for configuration space and BARs by direction.
count() {
    local name=$1; shift
    echo hist:keys=reason >$t/kvm_userspace_exit/trigger
    echo "hist:keys=type if gpa >= 0x4000000000 || (gpa >= 0xe0000000 && gpa < 0xf0000000)" >$t/kvm_mmio/trigger
    run --memory 512M "$@"
    echo "@${name}_code $?"
    sed -n "s/.*reason: *\([0-9]*\) .*hitcount: *\([0-9]*\).*/\1 \2/p" $t/kvm_userspace_exit/hist >/tmp/hist
    awk -v name=$name "{ sum += \$2; by = by \" \" (\$1 == 6 ? \"mmio\" : \$1 == 2 ? \"io\" : \$1) \"=\" \$2 } END { print \"@\" name, sum + 0; print \"@\" name \"_by\" by }" /tmp/hist
    sed -n "s/.*type: *\([0-9]*\) .*hitcount: *\([0-9]*\).*/\1 \2/p" $t/kvm_mmio/hist |
        awk -v name=$name "{ n[\$1] = \$2 } END { print \"@\" name \"_pci_reads\", n[0] + n[1]; print \"@\" name \"_pci_writes\", n[2] + 0 }"
    echo "!hist:keys=reason" >$t/kvm_userspace_exit/trigger
    echo "!hist:keys=type" >$t/kvm_mmio/trigger
}
quiet="console=ttyS0 quiet"; driven="$quiet microvm.exec=true"
count none --cmdline "$quiet"
count bare --pci --cmdline "$quiet"
count eight --transport pci --rng --console file=/tmp/console $(disks) --cmdline "$quiet"
count nodriver --cmdline "$driven"
count driven --transport pci --rng --console file=/tmp/console $(disks) --cmdline "$driven"
count mmio --rng --console file=/tmp/console $(disks) --cmdline "$driven"

put_script <<"SCRIPT"
cd /sys/bus/pci/devices
echo "@functions $(ls | wc -l)"
echo "@virtio $(cat */vendor | grep -c 0x1af4)"
for f in *; do echo "L:$f $(cat $f/class $f/vendor $f/device | tr "\n" " ")"; done
sed -n /PCI-MSI/s/^/I:/p /proc/interrupts
dd if=/dev/vdb of=/dev/vda bs=64k count=128 conv=fsync 2>/dev/null
echo "@data $(dd if=/dev/vda bs=64k count=128 2>/dev/null | md5sum | cut -c1-32)"
echo "@random $(dd if=/dev/hwrng bs=640 count=1 2>/dev/null | wc -c)"
echo over-the-console >/dev/hvc0
# A filesystem on the disk behind the port: its bus comes last.
mke2fs /dev/vdg >/dev/null 2>&1; mkdir -p /m; mount -t ext4 /dev/vdg /m && dd if=/dev/vdb of=/m/data bs=64k count=64 2>/dev/null; umount /m
mount -t ext4 /dev/vdg /m; echo "@file $(dd if=/m/data bs=64k 2>/dev/null | md5sum | cut -c1-32) $(dd if=/dev/vdb bs=64k count=64 2>/dev/null | md5sum | cut -c1-32)"; umount /m
# Vectors moved between processors under load.
irq=$(sed -n "s/^ *\([0-9]*\):.*PCI-MSI.*virtio1-req.*/\1/p" /proc/interrupts)
dd if=/dev/vdb of=/dev/null bs=4k iflag=direct 2>/tmp/dd & i=0
while [ $i -lt 100 ]; do echo 1 >/proc/irq/$irq/smp_affinity; echo 2 >/proc/irq/$irq/smp_affinity; i=$((i+1)); done
wait; echo "@moved $(sed -n "s/^\([0-9]*\)+0 records in.*/\1/p" /tmp/dd)"; sed -n "/virtio1-req/s/^/M:/p" /proc/interrupts
# Unbind and bind again.
d=$(readlink -f /sys/block/vdd/device/..); f=${d##*/}
i=0; while [ $i -lt 20 ]; do echo $f >/sys/bus/pci/drivers/virtio-pci/unbind; echo $f >/sys/bus/pci/drivers/virtio-pci/bind; i=$((i+1)); done
sleep 1; echo "@rebound $(ls /sys/bus/pci/drivers/virtio-pci | grep -c $f)"
c=$(ls $d/virtio*/block); dd if=/dev/$c of=/dev/null bs=64k count=16 2>/dev/null && echo "@reread yes"
# A BAR moved while nobody drives it: its registers are at the new place, and ones at the old.
d2=$(readlink -f /sys/block/vde/device/..); f2=${d2##*/}; echo $f2 >/sys/bus/pci/drivers/virtio-pci/unbind
old=$(sed -n 1s/\ .*//p $d2/resource); new=0x4700000000
peek() { devmem $(($1 + 0x12)) 16; }
echo 1 >$d2/enable
before=$(peek $old); printf "\0\0\0\0\107\0\0\0" | dd of=$d2/config bs=8 seek=2 count=1 conv=notrunc 2>/dev/null; after=$(peek $new); gone=$(peek $old)
echo "@bar $before $after $gone"
# Remove and find again.
echo 1 >$d/remove; echo "@removed $(ls | wc -l)"
echo 1 >/sys/bus/pci/rescan; sleep 1; echo "@rescanned $(ls | wc -l)"
sed -n /PCI-MSI/s/^/J:/p /proc/interrupts
cd /sys/firmware/acpi/tables
for t in DSDT MCFG; do base64 $t | sed s/^/T:$t:/; done
dmesg | sed s/^/D:/
exit 42
SCRIPT
cp /tmp/data /tmp/b.img; truncate -s 16M /tmp/b.img
run --cpus 2 --memory 512M --pci-ports 2 --transport pci --rng --console file=/tmp/console --disk path=/tmp/g.img,port=1 $(disks) --cmdline "console=ttyS0 quiet microvm.exec=sh /script"
echo "@code $?"
echo "@console $(grep -c over-the-console /tmp/console)"
echo "@sum $(cat /tmp/data.sum)"
echo "@onhost $(head -c 8388608 /tmp/a.img | md5sum | cut -c1-32)"
LAB
expect_exit 0 "the lab ends well"
expect_value "a boot without PCI" none_code 0
expect_at_most "exits without PCI" none 600
expect_value "a boot with an empty PCI" bare_code 0
expect_value "an empty PCI is read without exits" bare_pci_reads 0
expect_value "a boot with eight virtio functions" eight_code 0
expect_value "configuration space of eight functions is read without exits" eight_pci_reads 0
expect_value "filesystem behind a root port: the file is right" file '([0-9a-f]{32}) \1'
expect_value "every block read while its vector moved between processors" moved 4096
expect_value "a BAR moved by the guest is at the new place and not at the old" bar '0x0001 0x0001 0xFFFF'
expect_value "eight functions with drivers: configuration space and BARs are read without exits" driven_pci_reads 0
note "with drivers: none $(value_of nodriver) ($(value_of nodriver_by)), eight on PCI $(value_of driven) ($(value_of driven_by); $(value_of driven_pci_writes) writes to configuration space and BARs), eight on MMIO $(value_of mmio) ($(value_of mmio_by))"
note "exits without PCI $(value_of none) ($(value_of none_by)), empty PCI $(value_of bare) ($(value_of bare_by)), eight functions $(value_of eight) ($(value_of eight_by)); writes to configuration space and BARs: $(value_of bare_pci_writes) empty, $(value_of eight_pci_writes) with eight"
expect_value "the guest's exit code is microvm's" code 42
expect_value "host bridge, two ports, nine devices" functions 12
expect_value "nine of them are virtio" virtio 9
expect_line "the host bridge is at 00:00.0" '^L:0000:00:00\.0 0x060000 0x1b36 0x0008'
expect_line "one disk is behind the first port" '^L:0000:01:00\.0 0x018000 0x1af4 0x1042'
expect_line "MSI-X vectors fire" '^I: *[0-9]+: .*[1-9][0-9]* .*PCI-MSI .*virtio[0-9]+-req'
expect_value "data copied from disk to disk is right" data "$(value_of sum)"
expect_value "and on the host" onhost "$(value_of sum)"
expect_value "rng: 640 bytes" random 640
expect_at_least "the console takes a line" console 1
expect_value "driver unbound and bound 20 times" rebound 1
expect_value "the disk works after it" reread yes
expect_value "a removed function is gone" removed 11
expect_value "a rescan finds it again" rescanned 12
refute_line "the kernel has nothing to complain about" \
    '^D:.*(ACPI Error|ACPI Warning|ACPI BIOS|ACPI Exception|FW BUG|Firmware Bug|WARNING:|BUG:|nobody cared|soft lockup|rcu.*stall|Call Trace|can.t claim|no space for|failed to assign)'
for table in DSDT MCFG; do
    sed -n "s/^T:$table://p" "$out" | base64 -d >"$folder/$table.dat"
    (cd "$folder" && iasl -d "$table.dat") >"$folder/iasl" 2>&1
    if complaint=$(grep -m1 -iE 'error|warning|invalid|could not|abort' "$folder/iasl"); then
        fail "$table disassembles without a complaint" "$complaint"
    else
        check "$table disassembles without a complaint" 'no .dsl came out' test -s "$folder/$table.dsl"
    fi
done
check "the DSDT has the host bridge" 'no PNP0A08 in it' grep -q PNP0A08 "$folder/DSDT.dsl"
