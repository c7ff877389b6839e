# The same two devices of the host for one guest after the other, each of which works with them and reboots (row F1): all find them as new, and nothing adds up on the host.
# tier: full
# seconds: 45
# covers: vmm/MicroVm/Vfio
# rows: F1
source "$(dirname "$0")/../case.sh"
need gcc:gcc /usr/include/stdio.h:libc6-dev
times=${VFIO_TIMES:-10}

gcc -O1 -static -s -o "$folder/edu" "$lab/edu.c"
head -c 67108864 /dev/urandom >"$folder/disk"
lab_run --timeout $((120 + times * 30)) --file "$folder/edu=/edu" \
    --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d -device edu,dma_mask=0xffffffffffff" --set times="$times" <<'LAB'
for d in /sys/bus/pci/devices/*; do
    case $(cat $d/class)$(cat $d/vendor) in 0x0108020x*) nvme=${d##*/} ;; 0x00ff000x1234) edu=${d##*/} ;; esac
done
put_script <<"END"
for d in /sys/bus/pci/devices/*; do case $(cat $d/class) in 0x00ff00) edu=$d ;; esac; done
modprobe nvme; while ! [ -b /dev/nvme0n1 ]; do usleep 50000; done
echo "@sum $(dd if=/dev/nvme0n1 bs=64k count=64 iflag=direct 2>/dev/null | md5sum | cut -c1-32)"
/edu $edu dma
reboot -f
END
( cd /tmp; cp /edu edu; echo edu | cpio -o -H newc 2>/dev/null >>initrd )
echo "@want $(dd if=/dev/nvme0n1 bs=64k count=64 iflag=direct 2>/dev/null | md5sum | cut -c1-32)"
microvm vfio bind $nvme; microvm vfio bind $edu
free() { sync; echo 3 >/proc/sys/vm/drop_caches; awk "/^MemAvailable/ { print int(\$2 / 1024) }" /proc/meminfo; }
i=0; while [ $i -lt $times ]; do
    microvm run $files --memory 256M --device $nvme --device $edu --cmdline "console=ttyS0 quiet iomem=relaxed microvm.exec=sh /script" >/tmp/out 2>&1
    echo "$? $(grep -o "@dma [a-z]*" /tmp/out) $(grep -o "@sum [0-9a-f]*" /tmp/out)" >>/tmp/ends
    tail -n 3 /tmp/out
    i=$((i+1)); [ $i = 1 ] && before=$(free)
done
sort /tmp/ends | uniq -c | sed "s/^ */@ends /"
echo "@lost $((before - $(free)))"
microvm vfio unbind $nvme; microvm vfio unbind $edu; i=0; while ! [ -b /dev/nvme0n1 ] && [ $i -lt 100 ]; do usleep 100000; i=$((i+1)); done
echo "@after $(dd if=/dev/nvme0n1 bs=64k count=64 iflag=direct 2>/dev/null | md5sum | cut -c1-32)"
dmesg | grep -cE "WARNING:|BUG:|Oops|DMAR:.*fault" | sed "s/^/@splat /"
LAB
expect_exit 0 "the lab ends well"
expect_value "$times guests, one after the other, end with a reboot, have the right bytes and the right DMA" ends "$times 0 @dma right @sum $(value_of want | tr -d '\r')"
expect_at_most "MiB of the host's memory that did not come back" lost 32
expect_value "the host has its disk back" after "$(value_of want | tr -d '\r')"
expect_value "its kernel has nothing to complain about" splat 0
