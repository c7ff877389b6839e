# Sixty virtio devices on one machine: more than bus 0 has devices, so that some share one as its functions.
# tier: full
# seconds: 15
# covers: vmm/MicroVm/Pci vmm/MicroVm/Virtio/Pci
source "$(dirname "$0")/../case.sh"

lab_run --memory 4096 --timeout 600 <<'LAB'
put_script <<"SCRIPT"
echo "@disks $(ls /sys/block | grep -c ^vd)"
echo "@functions $(ls /sys/bus/pci/devices | wc -l)"
echo "@shared $(ls /sys/bus/pci/devices | grep -vc "\.0$")"
good=0
for d in /sys/block/vd*; do [ "$(head -c 8 /dev/${d##*/})" = "disk-$(cat $d/serial)" ] && good=$((good+1)); done
echo "@good $good"
echo "@random $(dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c)"
SCRIPT
disks=; i=100
while [ $i -lt 158 ]; do truncate -s 1M /tmp/$i.img; printf disk-$i | dd of=/tmp/$i.img conv=notrunc 2>/dev/null; disks="$disks --disk path=/tmp/$i.img,serial=$i"; i=$((i+1)); done
run --memory 512M --transport pci --rng --console file=/tmp/console $disks --cmdline "console=ttyS0 quiet microvm.exec=sh /script"
LAB

expect_exit 0 "sixty devices boot"
expect_value "the guest has 58 disks, the console, the entropy device and the host bridge" functions 61
expect_value "each disk is there" disks 58
expect_value "each disk is the one that its serial says" good 58
expect_at_least "functions share devices" shared 29
expect_value "the entropy device works" random 64
refute_line "nothing was left without a place" "can't assign|no space for|failed to assign"
