# Assigned devices: an NVMe disk by MSI-X and by INTx, QEMU's edu device by MSI and DMA, what is contained and what is refused.
# tier: core
# seconds: 110
# covers: vmm/MicroVm/Vfio vmm/MicroVm/Interrupts
# rows: F2 F5
source "$(dirname "$0")/../case.sh"
need gcc:gcc /usr/include/stdio.h:libc6-dev

gcc -O1 -static -s -o "$folder/edu" "$lab/edu.c"
truncate -s 64M "$folder/disk"

shared <<'LAB'
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
for d in /sys/bus/pci/devices/*; do
    case $(cat $d/class)$(cat $d/vendor) in 0x0108020x*) nvme=${d##*/} ;; 0x00ff000x1234) edu=${d##*/} ;; esac
done
# guest ARGUMENTS... <SCRIPT: a guest that runs SCRIPT, with the edu program at /edu and $nvme, $edu set to their folders there.
guest() {
    { echo "for d in /sys/bus/pci/devices/*; do case \$(cat \$d/class) in 0x010802) nvme=\$d ;; 0x00ff00) edu=\$d ;; esac; done"; cat; } >/tmp/script
    ( cd /tmp; cp /lab/initrd initrd; dd if=/dev/zero bs=1 count=$(( -$(stat -c %s initrd) & 3 )) 2>/dev/null >>initrd
      cp /edu edu; printf "script\nedu\n" | cpio -o -H newc 2>/dev/null >>initrd )
    microvm run --kernel /lab/vmlinuz --initrd /tmp/initrd --memory 256M "$@" --cmdline "console=ttyS0 quiet iomem=relaxed $words microvm.exec=sh /script"
}
# count NAME GUEST...: the same, with its exits by reason.
count() {
    local name=$1; shift
    echo hist:keys=reason >$exits/trigger
    guest "$@"
    echo "@${name}_code $?"
    sed -n "s/.*reason: *\([0-9]*\) .*hitcount: *\([0-9]*\).*/\1 \2/p" $exits/hist >/tmp/hist
    echo "!hist:keys=reason" >$exits/trigger
    awk -v name=$name "{ by = by \" \" (\$1 == 2 ? \"io\" : \$1 == 6 ? \"mmio\" : \$1 == 26 ? \"eoi\" : \$1) \"=\" \$2; if (\$1 == 6) m = \$2; if (\$1 == 26) e = \$2 }
        END { print \"@\" name \"_by\" by; print \"@\" name \"_mmio\", m + 0; print \"@\" name \"_eoi\", e + 0 }" /tmp/hist
}
LAB

lab_run --timeout 560 --file "$folder/edu=/edu" \
    --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d -device edu,dma_mask=0xffffffffffff" \
    --qemu "-device virtio-rng-pci,addr=10.0,multifunction=on -device virtio-rng-pci,addr=10.1" <<'LAB'
echo "@list $(microvm vfio list | grep -c nvme) $(microvm vfio list --json | grep -c $nvme)"
mke2fs /dev/nvme0n1 >/dev/null; mkdir /disk; mount -t ext4 /dev/nvme0n1 /disk; head -c 8388608 /dev/urandom >/disk/host; md5sum </disk/host >/tmp/host
microvm vfio bind $nvme; echo "@mounted $?"
umount /disk
guest --device $nvme </dev/null; echo "@bound $?"
guest --device $nvme --device $nvme </dev/null; echo "@twice $?"
guest --device 0000:00:1d.7 </dev/null; echo "@absent $?"
microvm vfio bind 0000:00:00.0; echo "@bridge $?"
microvm vfio bind $nvme --dry-run >/tmp/plan; cat /tmp/plan
echo "@dry $(readlink /sys/bus/pci/devices/$nvme/driver | sed s,.*/,,)"
modprobe virtio_pci; microvm vfio bind 0000:00:10.1; guest --device 0000:00:10.1 </dev/null; echo "@viable $?"
microvm vfio bind $nvme; microvm vfio bind $edu

count idle --device $nvme <<"END"
modprobe nvme; while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done; sleep 1
sed -n "/nvme0q1/s/^/idle:/p" /proc/interrupts
END
count busy --device $nvme <<"END"
modprobe nvme; while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done; sleep 1
i=0; while [ $i -lt 4 ]; do dd if=/dev/nvme0n1 of=/dev/null bs=64k count=256 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; i=$((i+1)); done
echo "@interrupts $(awk "/nvme0q1/ { print \$2 }" /proc/interrupts)"
END
words=pci=nomsi count line --device $nvme <<"END"
modprobe nvme; while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done
i=0; while [ $i -lt 4 ]; do dd if=/dev/nvme0n1 of=/dev/null bs=64k count=256 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; i=$((i+1)); done
mount -t ext4 /dev/nvme0n1 /mnt; md5sum </mnt/host | sed "s/^/@line_sum /"
echo "@line_interrupts $(awk "/nvme/ { print \$2; exit }" /proc/interrupts)"; sed -n "/nvme/s/^/line:/p" /proc/interrupts
END
echo "@sum $(cat /tmp/host)"
guest --cpus 2 --device $nvme --device $edu <<"END"
modprobe nvme; while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done
mount -t ext4 /dev/nvme0n1 /mnt; md5sum </mnt/host | sed "s/^/@guest_sum /"
head -c 4194304 /dev/urandom >/mnt/guest; md5sum </mnt/guest | sed "s/^/@wrote /"; umount /mnt
/edu $edu id; /edu $edu dma; /edu $edu msi 20
sed -n "/nvme/s/^/both:/p" /proc/interrupts
END
echo "@both_code $?"
dmesg -c >/dev/null
guest --device $edu <<"END"
/edu $edu outside 0x80000000; /edu $edu outside 0xfffff000; /edu $edu dma | sed "s/@dma/@after/"
END
dmesg | grep -c "DMAR.*fault addr 0x80000000" | sed "s/^/@fault /"; dmesg | grep -i dmar.*fault
words= count poke0 --device $edu <<"END"
/edu $edu poke 0
END
count poke --device $edu <<"END"
/edu $edu poke 20000
END

before=$(od -An -v -tx1 /sys/bus/pci/devices/$nvme/config | md5sum)
od -Ax -v -tx4 -w4 /sys/bus/pci/devices/$nvme/config >/tmp/before
guest --device $nvme >/tmp/out 2>&1 <<"END" &
/edu $nvme config; sleep 5
END
i=0; while ! grep -q "@config" /tmp/out && [ $i -lt 300 ]; do sleep 0.1; i=$((i+1)); done
od -Ax -v -tx4 -w4 /sys/bus/pci/devices/$nvme/config >/tmp/after
wait; tail -n 5 /tmp/out
diff /tmp/before /tmp/after | grep "^[<>]"
echo "@changed $(diff /tmp/before /tmp/after | grep "^>" | cut -d" " -f2 | tr "\n" " ")"

guest --device $edu >/tmp/out 2>&1 <<"END" &
/edu $edu stream 100000
END
i=0; while ! grep -q "@streaming" /tmp/out && [ $i -lt 300 ]; do sleep 0.1; i=$((i+1)); done
kill -9 $(pidof microvm); wait
microvm vfio unbind $edu; microvm vfio bind $edu
guest --device $edu <<"END"
/edu $edu dma | sed "s/@dma/@again/"
END
echo "@again_code $?"
microvm vfio unbind $nvme; echo "@unbind $?"
sleep 1; mount -t ext4 /dev/nvme0n1 /disk; md5sum </disk/guest | sed "s/^/@host_sum /"
dmesg | grep -E "WARNING:|BUG:|Oops"; dmesg | grep -cE "WARNING:|BUG:|Oops" | sed "s/^/@splat /"
LAB
expect_exit 0 "the lab ends well"
expect_value "list: the table and JSON show the disk" list '1 1'
expect_value "bind refuses a disk with a mounted file system" mounted 127
expect_line "and says which" 'the host uses it for /disk\. Unmount it first'
expect_value "a device bound to its driver is refused" bound 125
expect_line "and the error says how to bind it" 'it is bound to nvme\. microvm vfio bind 0000:'
expect_value "a device given twice is refused" twice 127
expect_value "a device that is not there is refused" absent 127
expect_value "bind refuses a bridge" bridge 127
expect_line "dry run prints what would be written" '^echo vfio-pci > .*/driver_override'
expect_value "dry run changes nothing" dry nvme
expect_value "a group that is not viable is refused" viable 125
expect_line "and the error names who has the other device" '0000:00:10.0 is bound to virtio-pci\. microvm vfio bind 0000:00:10.0'
expect_value "idle NVMe guest" idle_code 0
expect_value "busy NVMe guest" busy_code 0
expect_at_least "NVMe: 64 MiB read by MSI-X take interrupts" interrupts 64
if [[ $(value_of busy_mmio) && $(value_of idle_mmio) ]]; then
    echo "@busy_more $(( $(value_of busy_mmio) - $(value_of idle_mmio) ))" >>"$out"
    echo "@poke_more $(( $(value_of poke_mmio) - $(value_of poke0_mmio) ))" >>"$out"
fi
expect_at_most "NVMe: neither they nor the doorbells cost an exit" busy_more 0
note "NVMe idle: $(value_of idle_by); busy: $(value_of busy_by)"
expect_at_most "20,000 reads of a BAR cost no exit" poke_more 0
expect_value "INTx: NVMe with pci=nomsi" line_code 0
check "INTx: the data is right" "$(value_of line_sum)" test "$(value_of line_sum)" == "$(value_of sum)"
expect_line "INTx: level-triggered, on the I/O APIC" '^line: .*IO-APIC +[0-9]+-fasteoi +nvme'
if [[ $(value_of line_interrupts) =~ ^[0-9]+$ ]]; then
    note "INTx: $(value_of line_interrupts) interrupts, $(value_of line_eoi) exits for their ends, by reason: $(value_of line_by)"
    expect_at_most "INTx: one exit for each interrupt's end" line_eoi "$(( $(value_of line_interrupts) + 8 ))"
fi
expect_value "two devices, two vCPUs" both_code 0
check "NVMe: the guest reads what the host wrote" "$(value_of guest_sum)" test "$(value_of guest_sum)" == "$(value_of sum)"
check "NVMe: the host reads what the guest wrote" "$(value_of host_sum)" test "$(value_of host_sum)" == "$(value_of wrote)"
expect_value "edu: its registers answer" live 0xedcba987
expect_value "edu: DMA both ways" dma right
expect_value "edu: 20 interrupts by MSI" msi 20
expect_value "edu: none while MSI is off" msi_off 0
expect_at_least "DMA outside the guest's memory faults in the IOMMU" fault 1
expect_value "and the device goes on working" after right
expect_value "config: of all writes only these dwords changed in the hardware (command, device control)" changed '(000004 )?(0000[0-9a-f]{2} )?'
expect_value "after kill -9 during DMA the device works in the next guest" again right
expect_value "and that guest ends well" again_code 0
expect_value "unbind gives the disk back" unbind 0
expect_value "the host's kernel has nothing to complain about" splat 0

lab_run --append intel_iommu=off --qemu "-device edu" --file "$folder/edu=/edu" <<'LAB'
microvm vfio bind $edu; echo "@bind $?"; guest --device $edu </dev/null; echo "@run $?"
LAB
expect_value "without an IOMMU nothing is bound" bind 125
expect_value "and nothing assigned" run 125
expect_line "and the error says why" 'is behind no IOMMU\. Turn on VT-d or AMD-Vi'

lab_run --append intremap=off --qemu "-device edu" --file "$folder/edu=/edu" <<'LAB'
microvm vfio bind $edu; guest --device $edu </dev/null; echo "@refused $?"
echo Y >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
guest --device $edu </dev/null; echo "@unsafe $?"
guest --device $edu --unsafe-interrupts </dev/null; echo "@forced $?"
LAB
expect_value "without interrupt remapping nothing is assigned" refused 125
expect_line "and the error says why" 'no interrupt remapping'
expect_value "nor where the host goes without it" unsafe 125
expect_value "unless that is what is wanted" forced 0
