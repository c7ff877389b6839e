# PCI functions in and out of a stock Debian guest that runs: each kind ten times, with data; under load; pulled; refused, unanswered and hostile.
# tier: full
# seconds: 70
# covers: vmm/MicroVm/Hotplug vmm/MicroVm/Pci vmm/MicroVm/Devices/AcpiGed vmm/MicroVm/Devices/AcpiUnit acpi.def
source "$(dirname "$0")/../case.sh"

shared <<'LAB'
# wait_kind TEXT: until the last line of the guest about kinds says it.
wait_kind() { for w in $(seq 600); do grep ^kinds /tmp/console | tail -n 1 | grep -q "$1" && return; usleep 50000; done; echo "the kinds are not $1"; }
# threads: how many the monitor has, without the one that writes its log, which starts with the first line.
threads() { cat /proc/$vmm/task/*/comm | grep -vcx log; }
start() { microvm run $files --memory 256M --name web "$@" >/tmp/console 2>/tmp/errors & vmm=$!; wait_for running; }
LAB

need gcc:gcc /usr/include/stdio.h:libc6-dev
gcc -O1 -static -s -o "$folder/poke" "$lab/poke.c"

lab_run --timeout 500 --file "$folder/poke=/poke" <<'LAB'
put_script <<"SCRIPT"
echo running
# What of each kind there is, a line whenever it changes.
( last=; while :; do
    now="net=$(ls /sys/bus/virtio/drivers/virtio_net | grep -c ^virtio) rng=$(ls /sys/bus/virtio/drivers/virtio_rng | grep -c ^virtio) vsock=$(ls /sys/bus/virtio/drivers/vmw_vsock_virtio_transport | grep -c ^virtio)"
    [ "$now" = "$last" ] || echo "kinds: $now"; last=$now; usleep 20000
done ) &
i=0
while [ $i -lt 10 ]; do
    while ! [ -b /dev/vda ]; do usleep 20000; done
    dd if=/dev/vda of=/tmp/part bs=64k count=16 2>/dev/null; dd if=/tmp/part of=/dev/vda bs=64k seek=16 conv=fsync 2>/dev/null
    echo "copied $i"
    while [ -b /dev/vda ]; do usleep 20000; done; echo "gone $i"
    i=$((i+1))
done
while ! [ -b /dev/vda ]; do usleep 20000; done
mke2fs /dev/vda >/dev/null 2>&1; mkdir -p /m; mount -t ext4 /dev/vda /m
dd if=/dev/vda of=/dev/null bs=4k iflag=direct 2>/dev/null & echo "busy"
while [ -b /dev/vda ]; do usleep 20000; done
echo "ejected under load"; umount /m 2>/dev/null
while ! [ -b /dev/vda ]; do usleep 20000; done
dd if=/dev/vda of=/dev/null bs=4k count=64 iflag=direct 2>/dev/null; echo "read again"
while [ -b /dev/vda ]; do usleep 20000; done
echo "pulled"
while ! [ -b /dev/vda ]; do usleep 20000; done
for s in /sys/bus/pci/slots/*; do [ "$(cat $s/power)" = 1 ] && echo 0 >$s/power; done
[ -b /dev/vda ] || echo "given back"
# Registers of empty slots, and of none: eject what is not there, answer what was not asked.
for a in 0xfeb10404 0xfeb10408 0xfeb1040c 0xfeb10414 0xfeb1041c 0xfeb10404 0xfeb10400 0xfeb104f4 0xfeb10004; do for v in 4 0xffffffff 3 0; do /poke $a 4 $v; done; done
/poke 0xfeb10406 2 4; /poke 0xfeb10404 1 4
echo "wrote"
while ! [ -b /dev/vda ]; do usleep 20000; done
echo "still works"
dmesg | grep -E "WARNING:|BUG:|Oops|ACPI Error|ACPI Exception|lockup|blocked for more" | sed "s/^/D:/"
echo "end"
sleep 1000
SCRIPT
cp /poke /tmp/poke; (cd /tmp; echo poke | cpio -o -H newc 2>/dev/null >>initrd)
truncate -s 16M /tmp/a.img; tunctl -t tap0 >/dev/null; ifconfig tap0 up
start --pci-ports 3 --cmdline "console=ttyS0 quiet microvm.exec=sh /script"
good=0; kept=0; i=0
while [ $i -lt 10 ]; do
    head -c 1048576 /dev/urandom >/tmp/new; dd if=/tmp/new of=/tmp/a.img conv=notrunc 2>/dev/null
    microvm ctl web add --disk path=/tmp/a.img,id=data >/tmp/added || break
    wait_for "copied $i"
    microvm ctl web remove data && good=$((good+1)); wait_for "gone $i"
    dd if=/tmp/a.img bs=64k skip=16 count=16 2>/dev/null | cmp -s - /tmp/new && kept=$((kept+1))
    i=$((i+1))
done
echo "@disks $good $kept"; cat /tmp/added | sed "s/^/A:/"
for kind in "net tap=tap0" "vsock cid=3,socket=/tmp/v" "rng"; do
    set -- $kind; good=0; n=0
    while [ $n -lt 10 ]; do
        place=$(microvm ctl web add --$1 $2 --json | sed "s/.*\"place\":\"//; s/\".*//"); wait_kind $1=1
        microvm ctl web remove $place && good=$((good+1)); wait_kind $1=0
        n=$((n+1))
    done
    echo "@$1 $good $(grep -c "^kinds:.*$1=1" /tmp/console)"
done
sleep 1; fds=$(ls /proc/$vmm/fd | wc -l); threads=$(threads)
microvm ctl web add --disk path=/tmp/a.img,id=data >/dev/null; wait_for busy
microvm ctl web remove data; echo "@busy $?"; wait_for "ejected under load"
microvm ctl web add --disk path=/tmp/a.img,id=data >/dev/null; wait_for "read again"
microvm ctl web remove data --force; echo "@force $?"; wait_for pulled
microvm ctl web add --disk path=/tmp/a.img,id=data >/dev/null; wait_for "given back"
echo "@own $(microvm ctl web list | grep -c data)"
wait_for wrote
microvm ctl web add --disk path=/tmp/a.img,id=data >/dev/null; echo "@after $?"; wait_for end
microvm ctl web add --disk path=/tmp/a.img,id=data 2>&1 | sed "s/^/E1:/"
microvm ctl web add --disk path=/tmp/none,id=other 2>&1 | sed "s/^/E2:/"
microvm ctl web add --disk path=/tmp/a.img,id=other,port=9 2>&1 | sed "s/^/E3:/"
microvm ctl web add --disk path=/tmp/a.img,id=other,transport=mmio 2>&1 | sed "s/^/E4:/"
microvm ctl web remove other 2>&1 | sed "s/^/E5:/"
microvm ctl web remove 00:01.0 2>&1 | sed "s/^/E6:/"
microvm ctl web add --rng >/dev/null; microvm ctl web add --rng >/dev/null; microvm ctl web add --rng 2>&1 | sed "s/^/E7:/"
for d in $(microvm ctl web list | grep -oE "0[123]:00.0"); do microvm ctl web remove $d; done
# Workers of io_uring in the kernel count as threads for five idle seconds.
sleep 7; echo "@left $(( $(ls /proc/$vmm/fd | wc -l) - fds )) $(( $(threads) - threads ))"
grep -E "^(D:|kinds)" /tmp/console; sed "s/^/S:/" /tmp/errors
microvm ctl web stop; wait $vmm
LAB
expect_exit 125 "the machine was stopped"
expect_value "a disk in and out ten times, its data right in both" disks '10 10'
expect_line "add says what it became" '^A:place +0[123]:00\.0'
expect_value "a network device in and out ten times, its driver bound each time" net '10 10'
expect_value "a socket device too" vsock '10 10'
expect_value "an entropy device too" rng '10 10'
expect_value "a mounted disk that is being read is given back when asked" busy 0
expect_value "one that is pulled is gone, the guest goes on and takes the next" force 0
expect_value "what the guest gives back unasked is gone" own 0
expect_value "nonsense written to the registers does no harm" after 0
expect_line "and is counted" '^S:microvm: guest error: pci-slot\[[012]\]: the guest ejects what is not there'
expect_line "a name that is taken is refused" '^E1:microvm: error: two devices have one name, id=data\.'
expect_line "a file that is not there too" '^E2:microvm: error: .*/tmp/none'
expect_line "a port that is not there too" '^E3:microvm: error: no such root port, port 9\. Give 1 to 3'
expect_line "another transport too" '^E4:microvm: error: only PCI devices come while the guest runs, transport=mmio'
expect_line "remove of a device that is not there too" '^E5:microvm: error: there is no such device in a PCI slot, other\.'
expect_line "and of one that is in no slot" '^E6:microvm: error: it is in no slot, and stays as long as the machine, 00:01\.0'
expect_line "and a fourth device in three slots" '^E7:microvm: error: every slot is taken, 3 root ports\.'
expect_value "no descriptor and no thread is left behind" left '0 0'
refute_line "the guest's kernel has nothing to complain about" '^D:'

lab_run --timeout 300 <<'LAB'
t=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
for n in 0 4; do
    echo hist:keys=reason >$t/trigger
    run --memory 256M --pci $([ $n = 0 ] || echo --pci-ports $n) --cmdline "console=ttyS0 quiet" >/dev/null
    sed -n "s/.*hitcount: *\([0-9]*\).*/\1/p" $t/hist | awk -v n=$n "{ sum += \$1 } END { print \"@exits\" n, sum }"
    echo "!hist:keys=reason" >$t/trigger
done
put_script <<"SCRIPT"
echo running; sleep 1000
SCRIPT
truncate -s 1M /tmp/a.img
start --cmdline "console=ttyS0 quiet microvm.exec=sh /script"
microvm ctl web add --rng 2>&1 | sed "s/^/E1:/"; microvm ctl web stop; wait $vmm
start --pci-ports 1 --cmdline "console=ttyS0 quiet acpiphp.disable=1 microvm.exec=sh /script"
microvm ctl web add --disk path=/tmp/a.img,id=data --wait 1.5 2>&1 | sed "s/^/E2:/"
microvm ctl web remove data --wait 1 2>&1 | sed "s/^/E3:/"
( microvm ctl web remove data --wait 40 2>&1 | sed "s/^/E4:/" ) & sleep 1
microvm ctl web list | sed "s/^/L:/"
microvm ctl web stop; echo "@stop $?"; wait
LAB
expect_line "a machine without slots refuses" '^E1:microvm: error: nothing can be plugged in or out, the machine has no root ports\. Start it with --pci-ports N\.'
expect_line "a guest that says nothing: add tells so" '^E2:microvm: error: the guest has not answered, data: 1\.5 s\. It stays plugged in'
expect_line "and remove" '^E3:microvm: error: the guest has not answered, data: 1 s\. It stays until'
expect_line "list is answered while remove waits" '^L:data +virtio-block +01:00\.0'
expect_value "and so is stop" stop 0
expect_line "which ends the wait" '^E4:microvm: error: the machine ended, before its guest answered\.'
note "exits of a boot with an empty PCI: $(value_of exits0); with four root ports: $(value_of exits4)"
