# microvm explain beside what the guest itself says: PCI functions and capabilities, interrupts and their vectors and counts, queues, ACPI tables, memory.
# tier: core
# seconds: 20
# covers: vmm/MicroVm/Diagnostics vmm/MicroVm.Cli/Explain vmm/MicroVm.Cli/ExplainCommand.cs
source "$(dirname "$0")/../case.sh"
need lspci:pciutils

lab_run --timeout 300 --file /usr/bin/lspci=/usr/bin/lspci --file /usr/share/misc/pci.ids=/usr/share/misc/pci.ids <<'LAB'
put_script <<"SCRIPT"
dd if=/dev/vda of=/dev/null bs=64k count=16 2>/dev/null
echo "@tables $(cd /sys/firmware/acpi/tables; for t in APIC DSDT FACP MCFG; do echo $t:$(wc -c <$t); done | tr "\n" " ")"
echo "@disk $(cd /sys/bus/pci/devices; for f in *; do ls -d $f/virtio*/block >/dev/null 2>&1 && echo $f; done | sed s/0000://)"
echo "@resource 0x$(sed -n "1s/0x0*\([0-9a-f]*\) .*/\1/p" /sys/bus/pci/devices/0000:01:00.0/resource)"
echo "@msi $(grep -c PCI-MSI /proc/interrupts)"
echo "@features $(cd /sys/bus/virtio/devices; for d in *; do [ -d $d/block ] && cat $d/features; done | awk "{ n=0; for (i = 1; i <= length(\$1); i++) n += substr(\$1, i, 1); print n }")"
echo "@ram $(awk "/System RAM/ { print \$1 }" /proc/iomem | head -n 1)"
lspci -vv -n 2>/dev/null | grep -E "^[0-9]|Capabilities:" | sed "s/^/G:/"
# The count is taken twice, that of an idle disk stands.
echo "@count $(awk "/virtio.*-req/ { print \$2 }" /proc/interrupts | head -n 1)"
echo running; sleep 1000
SCRIPT
add_program usr/bin/lspci
truncate -s 16M /tmp/a.img
microvm run $files --memory 256M --name web --pci-ports 1 --disk path=/tmp/a.img,id=data,port=1 --rng \
    --cmdline "console=ttyS0 quiet nokaslr microvm.exec=sh /script" >/tmp/console 2>/tmp/errors &
vmm=$!
for i in $(seq 240); do grep -q ^running /tmp/console && break; sleep 0.5; done
cat /tmp/console | grep -E "^(@|G:)"
sleep 1
a=$(microvm ctl web info | awk "\$1 == \"exits\" { print \$2 }")
for i in 1 2 3 4 5; do microvm explain web >/tmp/picture; done; echo "@explained $?"
b=$(microvm ctl web info | awk "\$1 == \"exits\" { print \$2 }")
echo "@disturbed $((b - a))"
microvm explain web --json | head -c 20 | sed "s/^/J:/"; echo
sed "s/^/P:/" /tmp/picture
section() { sed -n "/^$1$/,/^$/p" /tmp/picture; }
echo "@p_tables $(section ACPI | awk "/APIC|DSDT|FACP|MCFG/ { print \$1 \":\" \$3 }" | sort | tr "\n" " ")"
echo "@p_good $(section ACPI | grep -c good)"; echo "@p_bad $(section ACPI | grep -c " bad ")"
echo "@p_unknown $(sed -n "/^ACPI FIELDS$/,/^PCI$/p" /tmp/picture | grep -c " ? ")"
echo "@p_bar $(section BARS | awk "\$1 == \"01:00.0\" { print \$4 }")"
echo "@p_caps $(section CAPABILITIES | awk "\$1 == \"01:00.0\" { print \$2 }" | tr "\n" " ")"
echo "@g_caps $(sed -n "/^G:01:00.0/,/^G:[0-9]/s/.*Capabilities: \[\([0-9a-f]*\)\].*/0x\1/p" /tmp/console | tr "\n" " ")"
echo "@p_open $(section INTERRUPTS | grep -c "MSI-X.* open ")"
echo "@p_count $(section INTERRUPTS | awk "/01:00.0 .*queue 0/ { print \$NF }")"
echo "@p_used $(section QUEUES | awk "\$1 == \"01:00.0\" && \$8 == \$9 && \$8 > 0 && \$10 == 0" | wc -l)"
echo "@p_features $(section VIRTIO | sed -n "/^01:00.0/s/.*FeaturesOk  *\([A-Za-z0-9 ]*[A-Za-z0-9]\)  .*/\1/p" | wc -w)"
echo "@p_slot $(section MEMORY | awk "\$1 == \"0x0\" { print \$2 }")"
microvm ctl web stop; wait $vmm; echo "@code $?"
LAB
expect_exit 0 "the lab ends well"
expect_value "explain answers" explained 0
expect_at_most "five pictures of an idle guest cost it nothing: it left as often as in any second" disturbed 20
expect_line "and has JSON for programs" '^J:\{"machine":\['
expect_value "the disk is where the guest finds it" disk '01:00\.0'
check "explain shows the ACPI tables that the guest has" "@tables $(value_of tables), @p_tables $(value_of p_tables)" test "$(value_of tables)" = "$(value_of p_tables)"
expect_value "their checksums are good" p_bad 0
expect_at_least "all of them" p_good 6
expect_value "each byte of them comes from a declaration" p_unknown 0
check "the disk's BAR stands where the guest put it" "@resource $(value_of resource), @p_bar $(value_of p_bar)" test "$(value_of resource)" = "$(value_of p_bar)"
check "its capabilities are those that lspci finds in the guest" "@g_caps $(value_of g_caps), @p_caps $(value_of p_caps)" test -n "$(value_of g_caps)" -a "$(value_of g_caps)" = "$(value_of p_caps)"
check "as many open MSI-X entries as the guest has MSI interrupts" "@msi $(value_of msi), @p_open $(value_of p_open)" test "$(value_of msi)" = "$(value_of p_open)"
check "the disk's interrupt was raised as often as the guest took it" "@count $(value_of count), @p_count $(value_of p_count)" test -n "$(value_of count)" -a "$(value_of count)" = "$(value_of p_count)"
check "as many features by name as the guest's driver has bits" "@features $(value_of features), @p_features $(value_of p_features)" test -n "$(value_of features)" -a "$(value_of features)" = "$(value_of p_features)"
expect_value "the disk's idle queue has used what was made available" p_used 1
expect_value "RAM is a memory slot of 256 MiB" p_slot 268435456
expect_line "the root port leads to its bus" '^P:00:01\.0 .* 1 '
expect_line "and the disk is drawn behind it" '^P:  01:00\.0 +00:01\.0 +virtio-block'
expect_line "the serial port's way to the processor, in one line" '^P:uart16550 +input, output +pin 1 +1 +0xfee[0-9a-f]+/0x[0-9a-f]+ +eventfd [0-9]+ +[0-9]+ +0x[0-9a-f]+ +edge +open +[0-9]+'
expect_line "what was agreed with the disk, by name" '^P:01:00\.0 +data +virtio-block +.*DriverOk.*Flush.*RingEventIdx'
expect_line "MSI-X by name with its state" '^P:01:00\.0 +0x[0-9a-f]+ +MSI-X +LastEntry 1, Enable'
expect_line "doorbells of a BAR" '^P:01:00\.0 +0 +0x2000 +- +doorbell +any value to eventfd'
expect_line "a field of the FADT by name, with its line" '^P:FACP .*Flags +0x[0-9a-f]+ .*HardwareReduced +acpi\.def/fadt\.table:[0-9]+'
expect_line "an object of the DSDT with its line and its values" '^P:DSDT +[0-9]+ +\\_SB\.VR00\._CRS +Name +acpi\.def/virtio\.asl:12 +Base 0xd0000000 Irq 0x4'
expect_value "a stopped machine ends with 125" code 125
