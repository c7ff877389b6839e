# A stock Debian kernel reaches user space on 1, 2 and 8 processors, finds its devices, and has nothing to complain about.
# tier: core
# seconds: 70
# covers: vmm/MicroVm/Boot vmm/MicroVm/Acpi vmm/MicroVm/Machine vmm/MicroVm/Kvm acpi.def devices.def vmm/MicroVm/Virtio/Mmio vmm/MicroVm/Virtio/Rng vmm/MicroVm/Virtio/Block
source "$(dirname "$0")/../case.sh"
need iasl:acpica-tools

lab_run --memory 6144 --timeout 600 <<'LAB'
truncate -s 64M /tmp/a.img; yes read-only | head -c 1048576 >/tmp/b.img; md5sum </tmp/b.img >/tmp/b.sum
put_script <<"END"
echo "@nproc1 $(nproc)"
dd if=/dev/hwrng bs=640 count=1 2>/dev/null | wc -c | sed "s/^/@random /"
echo "stored on disk" | dd of=/dev/vda conv=fsync 2>/dev/null
echo "@size $(cat /sys/block/vda/size)"
echo "@readonly $(cat /sys/block/vdb/ro)"
echo "@begins $(head -n 1 /dev/vdb)"
if echo x 2>/dev/null >/dev/vdb; then echo "@refused no"; else echo "@refused yes"; fi
sed -n /virtio/s/^/I:/p /proc/interrupts
cd /sys/firmware/acpi/tables
for t in [A-Z]*; do base64 $t | sed s/^/T:$t:/; done
dmesg | sed s/^/D:/
exit 42
END
run --memory 512M --rng --disk path=/tmp/a.img --disk path=/tmp/b.img,ro --cmdline "console=ttyS0 quiet microvm.exec=sh /script"
echo "@code $?"
echo "@disk $(head -n 1 /tmp/a.img)"
md5sum </tmp/b.img | cmp -s - /tmp/b.sum && echo "@unchanged yes"
for n in 2 8; do
    run --cpus $n --memory 512M --cmdline "console=ttyS0 quiet microvm.exec=echo @nproc$n \$(nproc); dmesg | sed s/^/D:/"
    echo "@code$n $?"
done
# Around 3 GiB, where memory goes on above 4 GiB: all of it is RAM to the guest.
for m in 3071 3072 3073; do
    run --memory ${m}M --cmdline "console=ttyS0 quiet microvm.exec=\
        grep System.RAM /proc/iomem | sed s/^/@last$m\\ / | tail -n 1; sed -n s/MemTotal:/@total$m/p /proc/meminfo"
done
LAB
expect_exit 0 "the lab ends well"
expect_value "1 vCPU: nproc agrees" nproc1 1
expect_value "2 vCPUs: nproc agrees" nproc2 2
expect_value "8 vCPUs: nproc agrees" nproc8 8
expect_value "the guest's exit code 42 is microvm's" code 42
expect_value "the guest's exit code 0 is microvm's (2 vCPUs)" code2 0
expect_value "the guest's exit code 0 is microvm's (8 vCPUs)" code8 0
expect_value "3 GiB - 1 MiB: RAM ends there" last3071 '.*-bfefffff : System RAM'
expect_value "3 GiB: RAM ends at the hole" last3072 '.*-bfffffff : System RAM'
expect_value "3 GiB + 1 MiB: the last is above 4 GiB" last3073 '100000000-1000fffff : System RAM'
for m in 3071 3072 3073; do
    # Less what the kernel takes before it counts: itself, a map of all pages and, with memory above 4 GiB, 64 MiB of bounce buffers.
    total=$(value_of "total$m" | tr -dc 0-9)
    expect_number "$m MiB: MemTotal says so ($total kB)" "$total" -ge $(( (m - 192) * 1024 ))
done
expect_value "rng: 640 bytes" random 640
expect_value "disk: 64 MiB" size 131072
expect_value "disk: what the guest wrote is in the file" disk 'stored on disk'
expect_value "read-only disk: says so" readonly 1
expect_value "read-only disk: is read" begins read-only
expect_value "read-only disk: refuses to be written" refused yes
expect_value "read-only disk: the file is as before" unchanged yes
expect_line "virtio interrupts fire" '^I: *[0-9]+: +[1-9][0-9]* .*virtio'
refute_line "every virtio line has fired" '^I: *[0-9]+: +0 .*virtio'
expect_line "dmesg was read" '^D:\[ *0\.0+\] Linux version'
refute_line "the kernel has nothing to complain about" \
    '^D:.*(ACPI Error|ACPI Warning|ACPI BIOS|ACPI Exception|FW BUG|Firmware Bug|WARNING:|BUG:|nobody cared|soft lockup|rcu.*stall|Call Trace)'

tables=$(sed -n 's/^T:\([^:]*\):.*/\1/p' "$out" | sort -u)
check "the guest has a DSDT, a FADT and a MADT" "it has: $tables" test "$(grep -cxE 'DSDT|FACP|APIC' <<<"$tables")" -eq 3
for table in $tables; do
    sed -n "s/^T:$table://p" "$out" | base64 -d >"$folder/$table.dat"
done
others=$(cd "$folder" && echo SSDT*.dat)
for table in $tables; do
    # A table that names objects of another one needs to see it.
    (cd "$folder" && iasl $([[ $table == DSDT && $others != 'SSDT*.dat' ]] && echo "-e ${others// /,}") -d "$table.dat") >"$folder/iasl" 2>&1
    cat "$folder/iasl" >&2
    if complaint=$(grep -m1 -iE 'error|warning|invalid|could not|abort' "$folder/iasl"); then
        fail "$table disassembles without a complaint" "$complaint"
    else
        check "$table disassembles without a complaint" 'no .dsl came out' test -s "$folder/$table.dsl"
    fi
done
