# Devices assigned through iommufd, each by its own file: an NVMe disk and QEMU's edu device, on Debian's 6.12 with what it leaves out (tests/lab/iommufd-kernel).
# tier: full
# seconds: 100
# covers: vmm/MicroVm/Vfio vmm/MicroVm/Virtio/Iommu
source "$(dirname "$0")/../case.sh"
need gcc:gcc /usr/include/stdio.h:libc6-dev

if ! kernel=$("$lab/iommufd-kernel" 2>"$folder/why"); then
    cat "$folder/why" >&2
    skip "devices through iommufd" "$(grep -m1 -o "error: .*" "$folder/why")"
    exit
fi
same() { check "$1" "@$2 is '$(value_of "$2")', not '$3'" test -n "$3" -a "$(value_of "$2")" = "$3"; } # NAME KEY TEXT
gcc -O1 -static -s -o "$folder/edu" "$lab/edu.c"
truncate -s 64M "$folder/disk"
# Debian's generic kernel has NVMe as a module.
host="--host-kernel $kernel"
devices="-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d -device edu,dma_mask=0xffffffffffff"
shared <<'LAB'
modprobe nvme; for i in $(seq 100); do [ -b /dev/nvme0n1 ] && break; usleep 50000; done
for d in /sys/bus/pci/devices/*; do
    case $(cat $d/class)$(cat $d/vendor) in 0x0108020x*) nvme=${d##*/} ;; 0x00ff000x1234) edu=${d##*/} ;; esac
done
in_guest="for d in /sys/bus/pci/devices/*; do case \$(cat \$d/class) in 0x010802) nvme=\$d ;; 0x00ff00) edu=\$d ;; esac; done
modprobe nvme 2>/dev/null; sum() { dd if=\$1 bs=64k count=64 iflag=direct 2>/dev/null | md5sum | cut -c1-32; }
for i in \$(seq 300); do [ -b /dev/nvme0n1 ] && break; usleep 50000; done"
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
# mmio NAME GUEST...: runs it, with its exits for memory.
mmio() {
    local name=$1; shift
    echo hist:keys=reason >$exits/trigger; "$@"; echo "@${name}_code $?"
    echo "@${name}_mmio $(sed -n "s/.*reason: *6 .*hitcount: *\([0-9]*\).*/\1/p" $exits/hist)"; echo "!hist:keys=reason" >$exits/trigger
}
guest() { run --memory 256M "$@" --cmdline "console=ttyS0 quiet iomem=relaxed microvm.exec=sh /script"; }
put_edu() { (cd /; echo edu | cpio -o -H newc 2>/dev/null >>/tmp/initrd); }
LAB

lab_run --timeout 580 $host --file "$folder/edu=/edu" --qemu "$devices" \
    --qemu "-device virtio-rng-pci,addr=10.0,multifunction=on -device virtio-rng-pci,addr=10.1" <<'LAB'
head -c 4194304 /dev/urandom >/tmp/data; dd if=/tmp/data of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null; echo "@wanted $(md5sum </tmp/data | cut -c1-32)"
microvm doctor --json | tr -d "\n " | grep -o "\"name\":\"iommufd\"[^}]*" | sed "s/^/Q:/"
microvm vfio list | grep $nvme | sed "s/^/L1:/"
microvm vfio bind $nvme; microvm vfio bind $edu; microvm vfio list | grep $nvme | sed "s/^/L2:/"
microvm vfio list --json | grep -c "\"cdev\": \"/dev/vfio/devices/vfio[01]\"" | sed "s/^/@json /"
group=$(basename $(readlink /sys/bus/pci/devices/$nvme/iommu_group)); cdev=$(ls /sys/bus/pci/devices/$nvme/vfio-dev)

put_script <<END
$in_guest
echo "@read \$(sum /dev/nvme0n1)"
head -c 4194304 /dev/urandom >/tmp/new; dd if=/tmp/new of=/dev/nvme0n1 bs=64k seek=64 oflag=direct 2>/dev/null; echo "@wrote \$(md5sum </tmp/new | cut -c1-32)"
/edu \$edu id; /edu \$edu dma
END
put_edu
guest --cpus 2 --device $nvme,iommufd=on --device $edu,iommufd=on; echo "@both_code $?"

put_script <<END
$in_guest
sleep 1
END
mmio idle guest --device $nvme,iommufd=on
put_script <<END
$in_guest
sleep 1
i=0; while [ \$i -lt 4 ]; do dd if=/dev/nvme0n1 of=/dev/null bs=64k count=256 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; i=\$((i+1)); done
echo "@interrupts \$(awk "/nvme0q1/ { print \\\$2 }" /proc/interrupts)"
END
mmio busy guest --device $nvme,iommufd=on

dmesg -c >/dev/null
put_script <<END
$in_guest
/edu \$edu msi 20; /edu \$edu outside 0x80000000; /edu \$edu outside 0xfffff000; /edu \$edu dma | sed "s/@dma/@after/"
END
put_edu
guest --device $edu,iommufd=on; dmesg | grep -c "DMAR.*fault addr 0x80000000" | sed "s/^/@fault /"; dmesg -c | grep -i "dmar.*fault"

# While one machine has it, and by which way: two devices of one machine, each in another.
put_script <<END
$in_guest
echo "sum \$(sum /dev/nvme0n1)"; /edu \$edu dma | sed "s/@dma/@mixed/"; echo running; sleep 1000
END
put_edu
microvm run $files --memory 256M --name web --device $nvme,iommufd=on --device $edu,iommufd=off --cmdline "console=ttyS0 quiet iomem=relaxed microvm.exec=sh /script" >/tmp/console 2>/tmp/errors & vmm=$!
wait_for running; grep -E "^(sum|@)" /tmp/console | sed "s/^sum/@mixed_sum/"
microvm explain web | sed -n "/^DMA/,/^$/p" | sed "s/^/P:/"
microvm explain web --iova 0x1000000 | sed "s/^/I:/"; microvm explain web --iova 0xd0000000 | sed "s/^/N:/"
echo "@told $(ls -l /proc/$vmm/fd | grep -c kvm-vfio)"
guest --device $nvme,iommufd=on </dev/null; echo "@second $?"
guest --device $nvme </dev/null; echo "@second_group $?"
kill -9 $vmm; wait $vmm

# What cannot be.
guest --device $nvme,iommufd=on,group=7 </dev/null; echo "@both_ways $?"
guest --device $nvme,cdev=77 </dev/null; echo "@closed $?"
mv /dev/iommu /dev/away; guest --device $nvme,iommufd=on </dev/null; echo "@gone $?"; microvm doctor | grep iommufd | sed "s/^/Q2:/"; mv /dev/away /dev/iommu
modprobe virtio_pci; microvm vfio bind 0000:00:10.1; guest --device 0000:00:10.1,iommufd=on </dev/null; echo "@viable $?"
echo "u:x:1000:1000::/:/bin/sh" >>/etc/passwd; chmod 666 /dev/kvm /dev/iommu
su u -c "exec microvm run $files --memory 256M --device $nvme,iommufd=on" </dev/null; echo "@forbidden $?"
chmod 666 /dev/vfio/devices/*
su u -c "ulimit -l 1024; exec microvm run $files --memory 256M --device $nvme,iommufd=on" </dev/null; echo "@memlock $?"

# Plugged in while it runs, with memory after it; the host wants it back.
put_script <<END
$in_guest
echo running; echo "sum \$(sum /dev/nvme0n1)"
while read -r x; do
    case \$x in
        memory*)
            mkdir -p /m; mount -t tmpfs -o size=90% t /m; dd if=/dev/zero of=/m/a bs=1M count=300 2>/dev/null; dd if=/dev/nvme0n1 of=/m/b bs=4M count=1 iflag=direct 2>/dev/null
            dd if=/m/b of=/dev/nvme0n1 bs=4M seek=2 oflag=direct 2>/dev/null; echo "moved \$(md5sum </m/b | cut -c1-32) \$(awk "/MemTotal/ { print \\\$2 }" /proc/meminfo)"; rm /m/*; umount /m ;;
        gone*) while [ -e /dev/nvme0n1 ]; do usleep 20000; done; echo "gone" ;;
    esac
done
END
rm -f /tmp/in; mkfifo /tmp/in
microvm run $files --memory 192M --max-memory 2G --name hot --pci-ports 2 --cmdline "console=ttyS0 quiet memhp_default_state=online_movable microvm.exec=sh /script </dev/console" </tmp/in >/tmp/console 2>/tmp/errors & vmm=$!
exec 3>/tmp/in
sleep 5
for i in $(seq 100); do microvm ctl hot info >/dev/null 2>&1 && break; usleep 100000; done
microvm ctl hot add --device $nvme,iommufd=on >/tmp/added; echo "@added $?"; wait_for sum
microvm ctl hot add --memory 512M,id=more >/dev/null; echo "@memory $?"
microvm explain hot | sed -n "/^DMA/,/^$/p" | sed "s/^/H:/"
echo memory >&3; wait_for moved; microvm ctl hot remove more; echo "@memory_gone $?"
microvm explain hot | sed -n "/^DMA/,/^$/p" | grep -c iommufd | sed "s/^/@pieces /"
echo gone >&3; microvm vfio unbind $nvme; echo "@unbind $?"; wait_for gone
for w in $(seq 100); do [ -b /dev/nvme0n1 ] && break; usleep 100000; done
grep -E "^(sum|moved)" /tmp/console | sed "s/^/@hot_/"
microvm ctl hot info >/dev/null; echo "@goes_on $?"; echo "@left $(ls -l /proc/$vmm/fd | grep -cE "/dev/iommu|/dev/vfio/devices")"
microvm ctl hot stop; wait $vmm; cat /tmp/errors
echo "@host $(dd if=/dev/nvme0n1 bs=64k skip=64 count=64 2>/dev/null | md5sum | cut -c1-32) $(dd if=/dev/nvme0n1 bs=64k skip=128 count=64 2>/dev/null | md5sum | cut -c1-32)"

# As open descriptors, by a process that has no files of VFIO; and of itself where only the file of the device is there.
microvm vfio bind $nvme
put_script <<END
$in_guest
echo "@sum \$(sum /dev/nvme0n1)"
END
mv /dev/vfio/$group /tmp/group; guest --device $nvme | sed "s/@sum/@alone/"; mv /tmp/group /dev/vfio/$group
exec 6<>/dev/iommu 7<>/dev/vfio/devices/$cdev; mount -t tmpfs none /dev/vfio; mv /dev/iommu /dev/away
free() { sync; echo 3 >/proc/sys/vm/drop_caches; awk "/^MemAvailable/ { print int(\$2 / 1024) }" /proc/meminfo; }
before=$(free); guest --device $nvme,cdev=7,iommufd=6 | sed "s/@sum/@descriptors/"; echo "@pinned $((before - $(free)))"
guest --device $nvme,cdev=7,iommufd=6 </dev/null; echo "@bound $?"
exec 7<&-; mkdir /dev/vfio/devices; mknod /dev/vfio/devices/$cdev c $(tr : " " </sys/bus/pci/devices/$nvme/vfio-dev/$cdev/dev); exec 7<>/dev/vfio/devices/$cdev
guest --device $nvme,cdev=7,iommufd=6 | sed "s/@sum/@descriptors_again/"
exec 6<&- 7<&-
microvm vfio unbind $nvme; microvm vfio unbind $edu
for w in $(seq 100); do [ -b /dev/nvme0n1 ] && break; usleep 100000; done
echo "@back $(dd if=/dev/nvme0n1 bs=64k count=64 2>/dev/null | md5sum | cut -c1-32)"
dmesg | grep -E "WARNING:|BUG:|Oops"; dmesg | grep -cE "WARNING:|BUG:|Oops|DMAR:.*fault" | sed "s/^/@splat /"
LAB
expect_exit 0 "the lab ends well"
wanted=$(value_of wanted)
expect_line "doctor says that iommufd is there" '^Q:.*"status":"ok"'
expect_line "list: no file of the device alone before it is bound" "^L1:.* -\$"
expect_line "list: and its name afterwards" '^L2:.* vfio[01]$'
expect_value "list: in JSON too" json 2
expect_value "two devices, two vCPUs" both_code 0
same "NVMe: the guest reads what the host wrote" read "$wanted"
expect_value "edu: its registers answer" live 0xedcba987
expect_value "edu: DMA both ways" dma right
expect_value "edu: 20 interrupts by MSI" msi 20
expect_value "edu: none while MSI is off" msi_off 0
expect_at_least "NVMe: 64 MiB read by MSI-X take interrupts" interrupts 64
[[ ! $(value_of busy_mmio) || ! $(value_of idle_mmio) ]] || echo "@busy_more $(( $(value_of busy_mmio) - $(value_of idle_mmio) ))" >>"$out"
expect_at_most "NVMe: neither they nor the doorbells cost an exit" busy_more 0
expect_at_least "DMA outside the guest's memory faults in the IOMMU" fault 1
expect_value "and the device goes on working" after right
expect_value "one device by iommufd and one by its group, in one machine" mixed right
same "both of them work" mixed_sum "$wanted"
expect_line "explain: through iommufd the guest's memory and nothing else" '^P:0x0 +268435456 +0x0 +0x[0-9a-f]+ +read, write +0000:00:[0-9a-f.]+ +iommufd$'
expect_line "explain: and through a container" '^P:0x0 +268435456 +0x0 +0x[0-9a-f]+ +read, write +0000:00:[0-9a-f.]+ +container$'
expect_line "explain: a device's address leads to the host's" '^I:host physical +0x[0-9a-f]+'
expect_line "explain: or would fault" '^N:device \(IOVA\) +0xd0000000 +not in the IOMMU'
expect_value "KVM is told of the devices" told 1
expect_value "a second machine does not get it" second 125
expect_line "and is told why" 'cannot assign 0000:[0-9a-f:.]+, /dev/vfio/devices/vfio[01]: .*Another machine has it'
expect_value "nor by its group" second_group 125
expect_value "both ways at once are refused" both_ways 127
expect_value "a descriptor that is not open is refused" closed 127
expect_line "by its name" 'cdev=77: '
expect_value "without /dev/iommu nothing is assigned" gone 125
expect_line "and the error says how to get it" 'cannot assign devices through iommufd, /dev/iommu: .*modprobe iommufd'
expect_line "doctor too" '^Q2:.*no /dev/iommu'
expect_value "a group that is not viable is refused" viable 125
expect_line "and the error names who has the other device" '0000:00:10.0 is bound to virtio-pci\. microvm vfio bind 0000:00:10.0'
expect_value "a user who may not open the file is refused" forbidden 125
expect_line "and is told which" 'chown USER /dev/vfio/devices/vfio[01]'
expect_value "where too little memory may be locked, nothing is assigned" memlock 125
expect_line "and the error says how much is wanted" 'this process may lock 1024 KiB\. Raise the limit: ulimit -l [0-9]+'
expect_value "plugged in while the guest runs" added 0
expect_value "memory comes after it" memory 0
expect_line "and is in the address space of the device" '^H:0x100000000 +536870912 .* iommufd$'
same "the guest reads its disk" hot_sum "$wanted"
expect_line "also to there" "^@hot_moved $wanted "
expect_value "with the memory that came" hot_moved "[0-9a-f]{32} [6-9][0-9]{5}"
expect_value "the memory goes" memory_gone 0
expect_value "out of the address space too" pieces 1
expect_value "the host wants the device back and gets it" unbind 0
same "with what guests wrote" host "$(value_of wrote) $wanted"
expect_value "no descriptor is left behind" left 0
expect_value "and the guest goes on" goes_on 0
same "where the group has no file, the device's own is taken" alone "$wanted"
same "by open descriptors" descriptors "$wanted"
expect_at_most "MiB of memory that the descriptors, still open, hold when it has ended" pinned 64
expect_value "the kernel binds one of a device once" bound 125
same "the iommufd serves again" descriptors_again "$wanted"
same "the host has its disk back" back "$wanted"
expect_value "its kernel has nothing to complain about" splat 0

# The guest's own IOMMU: each device in an address space of its own, with what the guest's driver maps.
lab_run --timeout 400 --memory 4096 $host --guest-kernel linux-image-6.12-amd64 --file "$folder/edu=/edu" --qemu "$devices" <<'LAB'
head -c 4194304 /dev/urandom >/tmp/data; dd if=/tmp/data of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null; echo "@wanted $(md5sum </tmp/data | cut -c1-32)"
microvm vfio bind $nvme; microvm vfio bind $edu; dmesg -c >/dev/null
put_script <<END
modprobe virtio_iommu
$in_guest
echo "@nvme_type \$(cat \$nvme/iommu_group/type)"; echo "@read \$(sum /dev/nvme0n1)"
head -c 4194304 /dev/urandom >/tmp/new; dd if=/tmp/new of=/dev/nvme0n1 bs=64k seek=64 oflag=direct 2>/dev/null; echo "@wrote \$(md5sum </tmp/new | cut -c1-32)"
i=0; while [ \$i -lt 5 ]; do echo \${nvme##*/} >/sys/bus/pci/drivers/nvme/unbind; echo \${nvme##*/} >/sys/bus/pci/drivers/nvme/bind; i=\$((i+1)); done
for i in \$(seq 300); do [ -b /dev/nvme0n1 ] && break; usleep 50000; done; echo "@rebound \$(sum /dev/nvme0n1)"
modprobe pci-stub; echo "1234 11e8" >/sys/bus/pci/drivers/pci-stub/new_id; echo \${edu##*/} >/sys/bus/pci/drivers/pci-stub/unbind
/edu \$edu dma | sed "s/@dma/@contained/"
echo identity >\$edu/iommu_group/type; /edu \$edu dma | sed "s/@dma/@identity/"
dmesg | grep -E "WARNING:|BUG:|page fault from EP|Call Trace|I/O error" | sed s/^/D:/
END
put_edu
run --memory 512M --iommu --device $nvme,iommufd=on --device $edu,iommufd=on --cmdline "console=ttyS0 quiet iommu.passthrough=0 iommu.strict=1 iomem=relaxed microvm.exec=sh /script"
echo "@code $?"; dmesg | grep -ci "dmar.*fault" | sed "s/^/@host_faults /"
microvm vfio unbind $nvme; for w in $(seq 100); do [ -b /dev/nvme0n1 ] && break; usleep 100000; done
echo "@host $(dd if=/dev/nvme0n1 bs=64k skip=64 count=64 2>/dev/null | md5sum | cut -c1-32)"
dmesg | grep -cE "WARNING:|BUG:|Oops" | sed "s/^/@splat /"
LAB
expect_exit 0 "--iommu: the lab ends well"
expect_value "--iommu: the guest ends well" code 0
expect_value "--iommu: the disk is in a domain that translates" nvme_type DMA
same "--iommu: the guest reads through its mappings" read "$(value_of wanted)"
same "--iommu: and writes" host "$(value_of wrote)"
same "--iommu: after five times without and with its driver the disk works" rebound "$(value_of wanted)"
expect_value "--iommu: without mappings DMA reaches nothing" contained 'wrong bytes|no answer'
expect_at_least "--iommu: and faults in the host's IOMMU" host_faults 1
expect_value "--iommu: in an identity domain it reaches the guest's memory" identity right
refute_line "--iommu: the guest's kernel has nothing to complain about" '^D:'
expect_value "--iommu: nor the host's" splat 0

# A host that checks no interrupts, with iommufd; then a kernel without it.
lab_run $host --append intremap=off --qemu "-device edu" <<'LAB'
rmmod vfio_iommu_type1; echo "@type1 $?"; microvm vfio bind $edu; put_script <<END
:
END
guest --device $edu,iommufd=on </dev/null; echo "@refused $?"
echo Y >/sys/module/iommufd/parameters/allow_unsafe_interrupts
guest --device $edu,iommufd=on </dev/null; echo "@unsafe $?"
guest --device $edu,iommufd=on --unsafe-interrupts </dev/null; echo "@forced $?"
LAB
expect_value "without interrupt remapping nothing is assigned" refused 125
expect_line "and the error says why" 'no interrupt remapping.*load iommufd with'
expect_value "nor where the host goes without it" unsafe 125
expect_value "unless that is what is wanted" forced 0
expect_value "all without type 1" type1 0

lab_run --qemu "-device edu" <<'LAB'
microvm vfio bind $edu; run --device $edu,iommufd=on </dev/null; echo "@run $?"; microvm doctor | grep iommufd | sed "s/^/Q:/"
LAB
expect_value "a kernel without files of devices alone assigns nothing by them" run 125
expect_line "and the error says what it lacks" 'through iommufd, the kernel has no file for the device alone in /dev/vfio/devices\. Boot a kernel with CONFIG_VFIO_DEVICE_CDEV'
expect_line "doctor too" '^Q:.*no /dev/iommu'
