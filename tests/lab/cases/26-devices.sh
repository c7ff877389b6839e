# Other devices of QEMU's, assigned to a guest with their stock drivers: a line each. The generic kernel has the drivers.
# tier: full
# seconds: 70
# covers: vmm/MicroVm/Vfio
source "$(dirname "$0")/../case.sh"

truncate -s 32M "$folder/sata" "$folder/usb"
printf sata-disk | dd of="$folder/sata" conv=notrunc 2>/dev/null
printf usb-stick | dd of="$folder/usb" conv=notrunc 2>/dev/null

# try NAME CLASS MODULES QEMU-ARGUMENTS COMMANDS: the guest gets the device of that PCI class and vendor, loads its driver and runs the commands.
try() {
    local name=$1 class=$2 modules=$3
    lab_run --host-kernel linux-image-amd64 --guest-kernel linux-image-amd64 --qemu "$4" --set class="$class" --set modules="$modules" --set commands="$5" <<'LAB'
for d in /sys/bus/pci/devices/*; do case "$(cat $d/class) $(cat $d/vendor)" in "$class") : ${device:=${d##*/}} ;; esac; done
put_script <<SCRIPT
modprobe -a $modules; sleep 2
$commands
sed -n "/PCI-MSI/s/^/I:/p" /proc/interrupts
SCRIPT
microvm vfio bind $device
run --memory 512M --device $device --cmdline "console=ttyS0 quiet microvm.exec=sh /script"
echo "@code $?"
dmesg | grep -cE "WARNING:|BUG:|DMAR.*fault" | sed "s/^/@splat /"
LAB
    expect_value "$name: the guest ends well" code 0
    expect_value "$name: works with its driver" works "$6"
    expect_line "$name: interrupts by message" '^I: .*[1-9][0-9]* .*PCI-MSI'
    expect_value "$name: the host has nothing to complain about" splat 0
}

try e1000e "0x020000 0x8086" e1000e "-netdev user,id=n -device e1000e,netdev=n,addr=8" \
    'ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up; sleep 2; ping -c 3 10.0.2.2 >/dev/null && echo "@works yes"' yes
try xhci "0x0c0330 0x1b36" "xhci_pci usb_storage sd_mod" "-device qemu-xhci,id=x,addr=8 -drive file=$folder/usb,if=none,id=u,format=raw -device usb-storage,bus=x.0,drive=u" \
    'lsusb | sed s/^/U:/; echo "@works $(cat /sys/bus/usb/devices/1-1/product /sys/bus/usb/devices/2-1/product 2>/dev/null | tail -n 1)"' 'QEMU USB HARDDRIVE'
try ahci "0x010601 0x8086" "ahci sd_mod" "-device ahci,id=a,addr=8 -drive file=$folder/sata,if=none,id=s,format=raw -device ide-hd,drive=s,bus=a.0" \
    'sleep 2; echo "@works $(head -c 9 /dev/sda)"' sata-disk
