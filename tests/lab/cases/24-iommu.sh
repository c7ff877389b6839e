# A guest with an IOMMU of its own (virtio-iommu, VIOT): an assigned NVMe disk and virtio devices do verified I/O through its mappings, a device
# without mappings reaches nothing, and all memory once its driver says so.
# tier: full
# seconds: 60
# covers: vmm/MicroVm/Virtio/Iommu vmm/MicroVm/Vfio vmm/MicroVm/Acpi
# rows: F2
source "$(dirname "$0")/../case.sh"
need gcc:gcc /usr/include/stdio.h:libc6-dev

gcc -O1 -static -s -o "$folder/edu" "$lab/edu.c"
truncate -s 64M "$folder/disk"
lab_run --timeout 560 --memory 4096 --guest-kernel linux-image-6.12-amd64 --file "$folder/edu=/edu" \
    --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d -device edu,dma_mask=0xffffffffffff" <<'LAB'
for d in /sys/bus/pci/devices/*; do
    case $(cat $d/class)$(cat $d/vendor) in 0x0108020x*) nvme=${d##*/} ;; 0x00ff000x1234) edu=${d##*/} ;; esac
done
head -c 16777216 /dev/urandom >/tmp/data; echo "@sum $(md5sum </tmp/data | cut -c1-32)"
dd if=/tmp/data of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null; cp /tmp/data /tmp/a.img; truncate -s 32M /tmp/a.img
tunctl -t tap0 >/dev/null; ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up; mkdir /srv; cp /tmp/data /srv/data; httpd -p 80 -h /srv
put_script <<"SCRIPT"
modprobe virtio_iommu
i=0; while ! [ -b /dev/vda ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i+1)); done
modprobe nvme; i=0; while ! [ -b /dev/nvme0n1 ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i+1)); done
for d in /sys/bus/pci/devices/*; do case $(cat $d/class) in 0x010802) nvme=$d ;; 0x00ff00) edu=$d ;; esac; done
group() { basename $(readlink $1/iommu_group); }
for d in /sys/bus/pci/devices/*; do [ -e $d/iommu_group ] && echo "G:$(basename $d) $(cat $d/device) $(group $d) $(cat $d/iommu_group/type)"; done
echo "@nvme_type $(cat $nvme/iommu_group/type)"
echo "@features $(cat /sys/bus/virtio/devices/*/features | cut -c34 | sort | uniq -c | tr -d "\n" | tr -s " ")"
echo "@nvme $(dd if=/dev/nvme0n1 bs=64k count=256 2>/dev/null | md5sum | cut -c1-32)"
echo "@disk $(dd if=/dev/vda bs=64k count=256 2>/dev/null | md5sum | cut -c1-32)"
head -c 16777216 /dev/urandom >/tmp/back; echo "@back_sum $(md5sum </tmp/back | cut -c1-32)"
dd if=/tmp/back of=/dev/nvme0n1 bs=64k oflag=direct 2>/dev/null; dd if=/tmp/back of=/dev/vda bs=64k oflag=direct 2>/dev/null; sync
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up && wget -qO- http://10.0.0.1/data | md5sum | sed "s/ .*//; s/^/@net /"
echo "@random $(dd if=/dev/hwrng bs=640 count=1 2>/dev/null | wc -c)"
i=0; while [ $i -lt 10 ]; do echo ${nvme##*/} >/sys/bus/pci/drivers/nvme/unbind; echo ${nvme##*/} >/sys/bus/pci/drivers/nvme/bind; i=$((i+1)); done
i=0; while ! [ -b /dev/nvme0n1 ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i+1)); done
echo "@rebound $(dd if=/dev/nvme0n1 bs=64k count=256 2>/dev/null | md5sum | cut -c1-32)"
# Nobody maps anything for edu. The kernel gives a function its domain when a driver comes, any driver.
modprobe pci-stub; echo "1234 11e8" >/sys/bus/pci/drivers/pci-stub/new_id; echo ${edu##*/} >/sys/bus/pci/drivers/pci-stub/unbind
echo "@edu_type $(cat $edu/iommu_group/type)"
/edu $edu dma | sed "s/@dma/@edu_contained/"
echo identity >$edu/iommu_group/type; echo "@edu_type2 $(cat $edu/iommu_group/type)"
/edu $edu dma | sed "s/@dma/@edu_identity/"
dmesg | grep -iE "iommu|viot" | sed s/^/M:/
dmesg | grep -E "WARNING:|BUG:|page fault from EP|Call Trace|I/O error" | sed s/^/D:/
SCRIPT
(cd /; echo edu | cpio -o -H newc 2>/dev/null >>/tmp/initrd)
microvm vfio bind $nvme; microvm vfio bind $edu; dmesg -c >/dev/null
run --memory 512M --iommu --transport pci --disk path=/tmp/a.img --rng --net tap=tap0 --device $nvme --device $edu \
    --cmdline "console=ttyS0 quiet iommu.passthrough=0 iommu.strict=1 iomem=relaxed microvm.exec=sh /script"
echo "@code $?"
dmesg | grep -i "dmar.*fault" | head -n 4 | sed s/^/F:/
dmesg | grep -ci "dmar.*fault" | sed "s/^/@host_faults /"
microvm vfio unbind $nvme; sleep 1
echo "@host_nvme $(dd if=/dev/nvme0n1 bs=64k count=256 2>/dev/null | md5sum | cut -c1-32) $(head -c 16777216 /tmp/a.img | md5sum | cut -c1-32)"
dmesg | grep -cE "WARNING:|BUG:|Oops" | sed "s/^/@splat /"
LAB
expect_exit 0 "the lab ends well"
expect_value "the guest ends well" code 0
expect_value "the NVMe disk is in a domain that translates" nvme_type 'DMA'
for what in nvme disk net; do check "$what: what the guest reads through its mappings is right" "$(value_of $what)" test "$(value_of $what)" == "$(value_of sum)"; done
check "the host reads what the guest wrote to both disks through its mappings" "$(value_of host_nvme)" test "$(value_of host_nvme)" == "$(value_of back_sum) $(value_of back_sum)"
check "after ten times without and with its driver the disk works" "$(value_of rebound)" test "$(value_of rebound)" == "$(value_of back_sum)"
expect_value "rng through its mappings" random 640
expect_value "edu is in a domain without mappings" edu_type 'DMA'
expect_value "there its DMA reaches nothing" edu_contained 'wrong bytes|no answer'
expect_at_least "and faults in the host's IOMMU" host_faults 1
expect_value "in an identity domain it reaches the guest's memory" edu_identity right
refute_line "the guest's kernel has nothing to complain about" '^D:'
expect_value "nor the host's" splat 0

# A kernel without the driver, and without VIOT: everything is reached, as if there were no IOMMU. Group and container come as open descriptors.
lab_run --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d" <<'LAB'
for d in /sys/bus/pci/devices/*; do case $(cat $d/class) in 0x010802) nvme=${d##*/} ;; esac; done
echo "@sum $(dd if=/dev/nvme0n1 bs=64k count=256 2>/dev/null | md5sum | cut -c1-32)"
microvm vfio bind $nvme
put_script <<"SCRIPT"
modprobe nvme; i=0; while ! [ -b /dev/nvme0n1 ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i+1)); done
echo "@bypass $(dd if=/dev/nvme0n1 bs=64k count=256 2>/dev/null | md5sum | cut -c1-32)"
SCRIPT
echo "u:x:1000:1000::/:/bin/sh" >>/etc/passwd; chmod 666 /dev/kvm /dev/vfio/*
su u -c "ulimit -l 1024; exec microvm run --kernel /lab/vmlinuz --memory 256M --device $nvme" </dev/null; echo "@memlock $?"
exec 6<>/dev/vfio/vfio 7<>/dev/vfio/$(basename $(readlink /sys/bus/pci/devices/$nvme/iommu_group)); mount -t tmpfs none /dev/vfio
run --memory 512M --iommu --device $nvme,group=7,container=6 --cmdline "console=ttyS0 quiet microvm.exec=sh /script"
echo "@code $?"
run --device $nvme,group=77 --cmdline "quiet" </dev/null; echo "@closed $?"
LAB
expect_value "a guest without the driver ends well" code 0
check "and finds the disk, by open descriptors" "$(value_of bypass)" test "$(value_of bypass)" == "$(value_of sum)"
expect_value "a descriptor that is not open is refused" closed 127
expect_value "where too little memory may be locked, nothing is assigned" memlock 125
expect_line "and the error says how much is wanted" 'this process may lock 1024 KiB\. Raise the limit: ulimit -l [0-9]+'
