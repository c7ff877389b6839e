# DIMMs in and out of a stock Debian guest that runs: filled, moved by a virtio disk, vhost-net and an NVMe disk of the host; given back to the host; refused, hostile.
# tier: full
# seconds: 65
# covers: vmm/MicroVm/Hotplug vmm/MicroVm/Memory vmm/MicroVm/Devices/AcpiMemory vmm/MicroVm/Virtio/Vhost acpi.def
source "$(dirname "$0")/../case.sh"

need gcc:gcc /usr/include/stdio.h:libc6-dev
gcc -O1 -static -s -o "$folder/poke" "$lab/poke.c"
truncate -s 64M "$folder/disk"
lab_run --timeout 900 --file "$folder/poke=/poke" --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d" <<'LAB'
for d in /sys/bus/pci/devices/*; do [ $(cat $d/class) = 0x010802 ] && nvme=${d##*/}; done
tunctl -t tap0 >/dev/null; ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
put_script <<"SCRIPT"
total() { sed -n "s/^MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo; }
modprobe -q nvme
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up 2>/dev/null
mkdir /m; mount -t tmpfs -o size=90% t /m; httpd -p 10.0.0.2:80 -h /m 2>/dev/null
echo online_movable >/sys/devices/system/memory/auto_online_blocks
echo "ready $(total)"
while read -r x; do
    case $x in
        # What is movable comes from the DIMM first, and so much of it fits nowhere else: the file, and the buffers of what moves it without a cache.
        fill*)
            mount -o remount,size=90% /m; dd if=/dev/urandom of=/m/b bs=1M count=16 2>/dev/null; dd if=/dev/zero of=/m/a bs=1M count=300 2>/dev/null
            echo "sum $(md5sum </m/b | cut -c1-32)"
            for d in /dev/vda /dev/nvme0n1; do
                [ -b $d ] || continue
                dd if=/m/b of=$d bs=4M oflag=direct 2>/dev/null; echo "back $(dd if=$d bs=4M count=4 iflag=direct 2>/dev/null | md5sum | cut -c1-32)"
            done ;;
        check*) echo "check $(md5sum </m/b | cut -c1-32)"; rm /m/a /m/b; echo 3 >/proc/sys/vm/drop_caches ;;
        # Memory for the kernel itself, and files whose inodes lie there.
        kernel*) echo online_kernel >/sys/devices/system/memory/auto_online_blocks ;;
        pin*) i=0; while [ $i -lt 3000 ]; do : >/m/f$i; i=$((i+1)); done ;;
        eject*) for d in /sys/bus/acpi/devices/PNP0C80:*; do [ "$(cat $d/status)" = 15 ] && echo 1 >$d/eject; done; usleep 300000 ;;
        # Registers of DIMMs that are not there, and of none: eject what is not there, answer what was not asked.
        poke*)
            for a in 0xfeb10514 0xfeb10518 0xfeb1051c 0xfeb10574 0xfeb1057c 0xfeb10570 0xfeb10580 0xfeb10588 0xfeb105f8; do for v in 4 0xffffffff 3 0; do /poke $a 4 $v; done; done ;;
        # Memory that is in use, given back behind the own back of the guest, with requests of the disk on their way into it.
        crash*) echo "done crash"; while :; do dd if=/dev/vda of=/dev/null bs=4M iflag=direct 2>/dev/null; done & usleep 300000; /poke 0xfeb10504 4 4; usleep 300000; md5sum /m/a ;;
    esac
    echo "done $x $(total)"
    [ $x = end ] && break
done
dmesg | sed s/^/D:/
SCRIPT
cp /poke /tmp/poke; (cd /tmp; echo poke | cpio -o -H newc 2>/dev/null >>initrd)
truncate -s 16M /tmp/a.img
rss() { awk "/^Rss:/ { sum += \$2 } END { print int(sum / 1024) }" /proc/$vmm/smaps; }
# say WORD: does it in the guest, and waits for that.
say() { echo $1 >&3; local i; for i in $(seq 400); do grep -q "^done $1" /tmp/console && return 0; sleep 0.2; done; echo "the guest never did $1"; tail -n 20 /tmp/console; return 1; }
boot() {
    : >/tmp/console; rm -f /tmp/in; mkfifo /tmp/in
    microvm run $files --memory 192M --name m "$@" --cmdline "console=ttyS0 quiet microvm.exec=sh /script </dev/console" </tmp/in >/tmp/console 2>/tmp/errors &
    vmm=$!; exec 3>/tmp/in
    for i in $(seq 300); do grep -q ^ready /tmp/console && break; sleep 0.2; done
}
values() { sed -n "s/^done \([a-z]*\) \([0-9]*\).*/@$1_total_\1 \2/p; s/^ready \([0-9]*\).*/@$1_total_ready \1/p; s/^sum \([0-9a-f]*\).*/@$1_sum \1/p; s/^back \([0-9a-f]*\).*/@$1_back \1/p; s/^check \([0-9a-f]*\).*/@$1_check \1/p" /tmp/console; sed s/^/S:/ /tmp/errors; grep ^D: /tmp/console; }
use() {
    local mode=$1
    microvm ctl m add --memory 512M >/tmp/added; echo "@${mode}_add $?"; sed "s/^/A:/" /tmp/added
    say first; say fill
    echo "@${mode}_full $(rss)"
    [ $mode = vhost ] && echo "@vhost_pulled $(wget -qO- http://10.0.0.2/b | md5sum | cut -c1-32)"
    microvm ctl m list | sed "s/^/L:/"; microvm ctl m memory | sed "s/^/M:/"; microvm explain m | sed "s/^/X:/"
    say check
    microvm ctl m remove dimm0 --wait 40; echo "@${mode}_remove $?"
    say second
    echo "@${mode}_empty $(rss)"
    local i=0; while [ $i -lt 10 ]; do microvm ctl m add --memory 256M,id=x$i --wait 40 >/dev/null && microvm ctl m remove x$i --wait 40 || break; i=$((i+1)); done
    echo "@${mode}_times $i"; say third
}
boot --max-memory 2G --net tap=tap0,vhost --disk path=/tmp/a.img
use vhost
microvm ctl m add --memory 2G 2>&1 | sed "s/^/E1:/"
microvm ctl m add --memory 100M 2>&1 | sed "s/^/E2:/"
microvm ctl m add --memory 512 2>&1 | sed "s/^/E3:/"
microvm ctl m add --memory id=x 2>&1 | sed "s/^/E4:/"
say kernel; microvm ctl m add --memory 128M,id=kept >/dev/null; say pin
microvm ctl m remove kept --wait 40 2>&1 | sed "s/^/E5:/"; microvm ctl m list | sed "s/^/K:/"
microvm ctl m remove kept --force 2>&1 | sed "s/^/E6:/"
microvm ctl m add --memory 128M,id=kept 2>&1 | sed "s/^/E7:/"
say poke; microvm ctl m info >/dev/null; echo "@poked $?"
say end; exec 3>&-; wait $vmm; echo "@vhost_code $?"; values vhost
microvm vfio bind $nvme
boot --max-memory 2G --device $nvme
use vfio
microvm ctl m add --memory 256M >/dev/null; say eject; microvm ctl m list | grep -c dimm | sed "s/^/@ejected /"
say end; exec 3>&-; wait $vmm; echo "@vfio_code $?"; values vfio
boot --max-memory 1G --disk path=/tmp/a.img,aio=threads
microvm ctl m add --memory 512M >/dev/null; say fill; say crash; sleep 2
microvm ctl m list >/tmp/list 2>/dev/null && grep -c dimm /tmp/list | sed "s/^/@crashed /"; kill -0 $vmm 2>/dev/null && microvm ctl m stop; exec 3>&-; wait $vmm; echo "@crash_code $?"; sed s/^/C:/ /tmp/errors
boot; microvm ctl m add --memory 128M 2>&1 | sed "s/^/E8:/"; say end; exec 3>&-; wait $vmm
microvm run $files --memory 512M --max-memory 256M 2>&1 | sed "s/^/E9:/"
t=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
for n in "--memory 256M" "--memory 256M --max-memory 2G"; do
    echo hist:keys=reason >$t/trigger
    microvm run --kernel /lab/vmlinuz --initrd /lab/initrd $n --cmdline "console=ttyS0 quiet" >/dev/null
    sed -n "s/.*hitcount: *\([0-9]*\).*/\1/p" $t/hist | awk -v n="$n" "{ sum += \$1 } END { print \"@exits\", n \":\", sum }"
    echo "!hist:keys=reason" >$t/trigger
done
dmesg | grep -cE "WARNING:|BUG:|Oops|DMAR:.*fault" | sed "s/^/@splat /"
LAB
expect_exit 0 "the lab ends well"
for mode in vhost vfio; do
    expect_value "$mode: the guest takes 512 MiB" ${mode}_add 0
    check "$mode: and has them" "MemTotal: $(value_of ${mode}_total_ready), then $(value_of ${mode}_total_first) kB" \
        test "$(( $(value_of ${mode}_total_first) - $(value_of ${mode}_total_ready) ))" -ge 500000
    expect_value "$mode: a file that needs them keeps its bytes" ${mode}_check "$(value_of ${mode}_sum)"
    expect_value "$mode: and a disk writes them from there, and reads them to there" ${mode}_back "$(value_of ${mode}_sum)"
    expect_value "$mode: it gives them back" ${mode}_remove 0
    expect_value "$mode: and has what it had" ${mode}_total_second "$(value_of ${mode}_total_ready)"
    note "$mode: MiB resident: $(value_of ${mode}_full) full, $(value_of ${mode}_empty) after it gave back"
    expect_at_most "$mode: the host has the pages" ${mode}_empty $(( $(value_of ${mode}_full) - 200 ))
    expect_value "$mode: ten times more" ${mode}_times 10
    expect_value "$mode: after which it has what it had" ${mode}_total_third "$(value_of ${mode}_total_ready)"
    expect_value "$mode: the guest ends well" ${mode}_code 0
done
expect_value "vhost sends what lies in a DIMM" vhost_pulled "$(value_of vhost_sum)"
expect_line "add says what it became" '^A:place +0x100000000'
expect_line "list shows it" '^L:dimm0 +dimm 512M +0x100000000'
expect_line "ctl memory too" '^M:dimmBytes +536870912'
expect_line "and explain" '^X:0x100000000 +536870912 .*DIMM dimm0'
expect_line "more than there may be is refused" '^E1:microvm: error: the machine cannot have that much memory, 2048 MiB more\. Give at most 1792M, or start it with more --max-memory\.'
expect_line "and no whole blocks" '^E2:microvm: error: not a size of a DIMM, 100 MiB\. Give a multiple of 128M\.'
expect_line "and a size without its unit" '^E3:microvm: error: a size without its unit, --memory 512\.'
expect_line "and no size" '^E4:microvm: error: not a size of a DIMM, 0 MiB\.'
expect_line "memory that the guest's kernel uses stays, and its status reaches the caller in words" '^E5:microvm: error: the guest did not give it back, kept: the device is busy \(status 0x82\)\. It stays'
expect_line "list still shows it" '^K:kept +dimm 128M '
expect_line "it is not pulled" '^E6:microvm: error: memory is not pulled: .*, kept\.'
expect_line "a name that is taken is refused" '^E7:microvm: error: two devices have one name, id=kept\.'
expect_value "nonsense written to the registers does no harm" poked 0
expect_line "and is counted" '^S:microvm: guest error: memory\[[17]\]: the guest ejects what is not there'
expect_value "one that the guest ejects unasked is gone" ejected 0
check "one that it uses goes when it says so, and harms only the guest" "@crashed $(value_of crashed), @crash_code $(value_of crash_code)" \
    grep -qxE '0?/12[35]' <<<"$(value_of crashed)/$(value_of crash_code)"
expect_line "a machine without --max-memory says so" '^E8:microvm: error: the memory of this machine stays, --memory 128M\. Start it with --max-memory SIZE\.'
expect_line "less than at start is refused" '^E9:microvm: error: cannot make room for that much memory, --max-memory 256M\. Give 512M to '
refute_line "the guests' kernels have nothing to complain about" '^D:.*(WARNING:|BUG:|Oops|Call Trace|ACPI Error|ACPI Exception)'
expect_value "nor has the host's" splat 0
note "exits of a boot: $(grep ^@exits "$out" | sed 's/^@exits //' | tr '\n' ';')"
