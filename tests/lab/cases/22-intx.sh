# Every virtio device on PCI without messages (pci=nomsi): one level-triggered line for all, by irqfd, with its ends; two vCPUs, the line moved
# between them under load; backends in this process and in the host's kernel; next to an assigned NVMe disk on the same line.
# tier: full
# seconds: 60
# covers: vmm/MicroVm/Pci vmm/MicroVm/Virtio/Pci vmm/MicroVm/Interrupts vmm/MicroVm/Devices/IoApic vmm/MicroVm/Vfio
source "$(dirname "$0")/../case.sh"

truncate -s 64M "$folder/disk"
lab_run --timeout 600 --memory 4096 --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d" <<'LAB'
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
for d in /sys/bus/pci/devices/*; do case $(cat $d/class) in 0x010802) nvme=${d##*/} ;; esac; done
for d in a b; do truncate -s 16M /tmp/$d.img; done
head -c 8388608 /dev/urandom >/tmp/data; echo "@sum $(md5sum </tmp/data | cut -c1-32)"
dd if=/tmp/data of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null; cp /tmp/data /tmp/b.img; truncate -s 16M /tmp/b.img
tunctl -t tap0 >/dev/null; ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
tunctl -t tap1 >/dev/null; ifconfig tap1 10.0.1.1 netmask 255.255.255.0 up
mkdir /srv; cp /tmp/data /srv/data; httpd -p 80 -h /srv
put_script <<"SCRIPT"
lines() { sed -n "s/^ *\([0-9]*\): .*IO-APIC .*virtio.*/\1/p" /proc/interrupts; }
echo "@messages $(grep -c PCI-MSI /proc/interrupts)"
line=$(lines); echo "@lines $(echo $line | wc -w)"
sed -n "/virtio/s/^/I:/p" /proc/interrupts
# The disk behind the port comes last.
dd if=/dev/vda of=/dev/vdb bs=64k count=128 conv=fsync 2>/dev/null
echo "@data $(dd if=/dev/vdb bs=64k count=128 2>/dev/null | md5sum | cut -c1-32)"
echo "@random $(dd if=/dev/hwrng bs=640 count=1 2>/dev/null | wc -c)"
echo over-the-console >/dev/hvc0
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up; ifconfig eth1 10.0.1.2 netmask 255.255.255.0 up
wget -qO- http://10.0.0.1/data | md5sum | sed "s/ .*//; s/^/@tap /"
wget -qO- http://10.0.1.1/data | md5sum | sed "s/ .*//; s/^/@vhost /"
modprobe nvme; while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done
echo "@nvme $(dd if=/dev/nvme0n1 bs=64k count=128 2>/dev/null | md5sum | cut -c1-32)"
# All at once, the line moved from one processor to the other.
dd if=/dev/vdb of=/dev/null bs=4k count=2048 iflag=direct 2>/tmp/dd1 & a=$!
dd if=/dev/nvme0n1 of=/dev/null bs=4k count=2048 iflag=direct 2>/tmp/dd2 & b=$!
wget -qO- http://10.0.1.1/data | md5sum | sed "s/ .*//; s/^/@vhost_moved /" & c=$!
while kill -0 $a 2>/dev/null || kill -0 $b 2>/dev/null; do for cpu in 1 2; do echo $cpu >/proc/irq/$line/smp_affinity; sleep 0.01; done; done
wait $a; wait $b; wait $c
cat /tmp/dd1 /tmp/dd2 | sed -n "s/^\([0-9]*\)+0 records in.*/@moved \1/p"
awk "/virtio/ { print \"@taken\", \$2 + \$3 }" /proc/interrupts
awk "/virtio/ { print \"@first\", \$2; print \"@second\", \$3 }" /proc/interrupts
dmesg | sed s/^/D:/
SCRIPT
microvm vfio bind $nvme
echo hist:keys=reason >$exits/trigger
run --cpus 2 --memory 512M --pci-ports 1 --transport pci --rng --console file=/tmp/console --disk path=/tmp/a.img,port=1 --disk path=/tmp/b.img \
    --net tap=tap0 --net tap=tap1,vhost --device $nvme --cmdline "console=ttyS0 quiet pci=nomsi microvm.exec=sh /script"
echo "@code $?"
sed -n "s/.*reason: *\([0-9]*\) .*hitcount: *\([0-9]*\).*/@reason\1 \2/p" $exits/hist
echo "@console $(grep -c over-the-console /tmp/console)"
dmesg | grep -cE "WARNING:|BUG:|Oops|nobody cared" | sed "s/^/@splat /"
LAB
expect_exit 0 "the lab ends well"
expect_value "the guest ends well" code 0
expect_value "no message signalled interrupt" messages 0
expect_value "one line for all" lines 1
expect_line "level-triggered, on the I/O APIC" '^I: .*IO-APIC +[0-9]+-fasteoi +.*virtio'
for what in data tap vhost nvme vhost_moved; do
    check "$what: every byte is right" "$(value_of $what)" test "$(value_of $what)" == "$(value_of sum)"
done
expect_value "rng: 640 bytes" random 640
expect_at_least "the console takes a line" console 1
expect_value "every block read from both disks while the line moved" moved 2048
check "one of the two disks lost nothing" "$(grep -c '^@moved 2048' "$out")" test "$(grep -c '^@moved 2048' "$out")" == 2
expect_at_least "the first processor took interrupts" first 50
expect_at_least "the second too" second 50
if [[ $(value_of taken) =~ ^[0-9]+$ ]]; then
    note "$(value_of taken) interrupts by the line, $(value_of reason26) exits for their ends"
    expect_at_most "one exit for the end of each interrupt" reason26 "$(( $(value_of taken) + 16 ))"
fi
refute_line "the guest's kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|nobody cared|soft lockup|rcu.*stall|Call Trace|can.t find IRQ|no GSI)'
expect_value "nor the host's" splat 0
