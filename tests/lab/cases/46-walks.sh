# Both translations beside what others say: a guest's own symbol and page tables, KVM's memory, the lab's own page map, and the IOMMU.
# tier: full
# seconds: 25
# covers: vmm/MicroVm/Diagnostics vmm/MicroVm/Vfio
source "$(dirname "$0")/../case.sh"

lab_run --timeout 300 --qemu '-drive if=none,id=n,file.driver=null-co,file.size=64M,format=raw -device nvme,serial=lab,drive=n,addr=0x10' <<'LAB'
put_script <<"SCRIPT"
echo "@symbol 0x$(sed -n "s/ [DdRr] linux_banner$//p" /proc/kallsyms)"
echo "@code $(awk "/Kernel code/ { print \$1 }" /proc/iomem)"
echo running; sleep 1000
SCRIPT
microvm vfio bind 0000:00:10.0; echo "@bound $?"
# KASLR stays on: nothing here knows where the kernel is.
microvm run $files --memory 256M --cpus 2 --name web --device 0000:00:10.0 \
    --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>/tmp/errors &
vmm=$!
for i in $(seq 240); do grep -q ^running /tmp/console && break; sleep 0.5; done
grep ^@ /tmp/console; cat /tmp/errors
symbol=$(sed -n "s/^@symbol //p" /tmp/console | tr -d "\r")
for cpu in 0 1; do microvm explain web --gva $symbol --cpu $cpu >/tmp/gva$cpu; echo "@gva$cpu $?"; done
sed "s/^/W:/" /tmp/gva0
gpa=$(awk "/^guest physical/ { print \$3 }" /tmp/gva0)
echo "@same $(awk "/^guest physical/ { print \$3 }" /tmp/gva1 | grep -cx $gpa)"
# What stands there is the banner: read out of the process at the host virtual address, and out of the host at the physical one.
hva=$(awk "/^host virtual/ { print \$3 }" /tmp/gva0); hpa=$(awk "/^host physical/ { print \$3 }" /tmp/gva0)
echo "@banner $(dd if=/proc/$vmm/mem bs=1 skip=$((hva)) count=13 2>/dev/null)"
page=$(dd if=/proc/$vmm/pagemap bs=8 skip=$((hva / 4096)) count=1 2>/dev/null | od -An -tx8 | tr -d " ")
echo "@pagemap $(printf 0x%x $(( (0x$page & ((1 << 55) - 1)) * 4096 + hva % 4096 )))"
echo "@hpa $hpa"
microvm explain web --gpa $gpa | sed "s/^/X:/"
microvm explain web --iova $gpa >/tmp/iova; sed "s/^/D:/" /tmp/iova
echo "@iova_hpa $(awk "/^host physical/ { print \$3 }" /tmp/iova)"
microvm explain web --iova 0xd0000000 | sed "s/^/N:/"
microvm explain web --gva 0x123456789000 | sed "s/^/U:/"
microvm explain web --gva 0x8000000000000000 | sed "s/^/C:/"
microvm explain web --gpa 0xfec00010 | sed "s/^/R:/"
microvm explain web --gva $symbol --cpu 9 2>&1 | sed "s/^/E:/"
microvm explain web --gva here 2>&1 | sed "s/^/E:/"
microvm explain web | sed -n "/^DMA/,/^$/p;/^INTERRUPTS/,/^$/p" | sed "s/^/P:/"
# A thousand looks at the registers of a guest that works: it goes on.
microvm ctl web info | sed -n "s/^exits */@exits_before /p"
for i in $(seq 100); do microvm explain web --gva $symbol --cpu $((i % 2)) >/dev/null || echo "E:look $i failed"; done; echo "@looked $?"
microvm ctl web info | sed -n "s/^exits */@exits_after /p"
microvm ctl web stop; wait $vmm; echo "@code $?"
LAB
expect_exit 0 "the lab ends well"
expect_value "the device is prepared" bound 0
expect_value "the walk is answered" gva0 0
expect_line "by the guest's own page tables, each entry with its flags" '^W:4 +0x[0-9a-f]+ +511 +0x[0-9a-f]+ +Present'
expect_value "both vCPUs see the kernel at one place" same 1
expect_value "what stands there is the kernel's banner" banner 'Linux version'
check "the host's page map says the same physical address" "@pagemap $(value_of pagemap), @hpa $(value_of hpa)" test "$(value_of pagemap)" = "$(value_of hpa)"
check "a device's address leads to the same place" "@iova_hpa $(value_of iova_hpa), @hpa $(value_of hpa)" test "$(value_of iova_hpa)" = "$(value_of hpa)"
expect_line "guest physical: RAM" '^X:guest physical +0x[0-9a-f]+ +RAM'
expect_line "all that is in the IOMMU is the guest's memory" '^P:0x0 +268435456 +0x0 +0x[0-9a-f]+ +read, write +0000:00:10\.0'
expect_line "an address that is not there would fault" '^N:device \(IOVA\) +0xd0000000 +not in the IOMMU'
expect_line "an address that is not mapped is said so" '^U:guest physical +- +not present'
expect_line "one that no processor takes too" '^C:guest physical +- +not canonical'
expect_line "registers by name" '^R:guest physical +0xfec00010 +registers of IoApic\.Window: each access exits'
expect_line "no such vCPU" '^E:microvm: error: no such vCPU, 9\. Give 0 to 1\.'
expect_line "no address" '^E:microvm: error: not an address, here\.'
expect_line "the way of the assigned device's interrupts" '^P:vfio 0000:00:10\.0 00:01\.0 +.*(MSI-X\[0\]|pin)'
refute_line "no look failed" '^E:look'
expect_value "a hundred looks are answered" looked 0
expect_value "and the guest goes on: a stopped machine ends with 125" code 125
