# What no driver does, done to functions in use (rows P1, P3, P6, M1, M3, M4, F1, F4, F5): vectors masked and rewritten under load, BARs moved under
# a reader, configuration space with every width, INTx switched off and on, a reset in the middle, a device that the host takes back.
# tier: full
# seconds: 60
# covers: vmm/MicroVm/Pci vmm/MicroVm/Virtio/Pci vmm/MicroVm/Vfio vmm/MicroVm/Interrupts
# rows: P1 P3 P6 M1 M3 M4 F1 F4 F5
source "$(dirname "$0")/../case.sh"
need gcc:gcc /usr/include/stdio.h:libc6-dev

gcc -O1 -static -s -o "$folder/pci" "$lab/pci.c"
gcc -O1 -static -s -o "$folder/edu" "$lab/edu.c"
truncate -s 64M "$folder/disk"

lab_run --timeout 560 --file "$folder/pci=/pci" --file "$folder/edu=/edu" \
    --qemu "-drive file=$folder/disk,if=none,id=d,format=raw -device nvme,serial=s,drive=d -device edu,dma_mask=0xffffffffffff" <<'LAB'
for d in /sys/bus/pci/devices/*; do
    case $(cat $d/class)$(cat $d/vendor) in 0x0108020x*) nvme=${d##*/} ;; 0x00ff000x1234) edu=${d##*/} ;; esac
done
# guest ARGUMENTS... <SCRIPT: with /pci and /edu, and $nvme, $edu, $disk (a virtio disk) set to their folders there.
guest() {
    { echo "for d in /sys/bus/pci/devices/*; do case \$(cat \$d/class) in 0x010802) nvme=\$d ;; 0x00ff00) edu=\$d ;; 0x018000) disk=\$d ;; esac; done"
      echo "count() { awk \"/\$1/ { n += \\\$2 + \\\$3 } END { print n + 0 }\" /proc/interrupts; }"; cat; } >/tmp/script
    ( cd /tmp; cp /lab/initrd initrd; dd if=/dev/zero bs=1 count=$(( -$(stat -c %s initrd) & 3 )) 2>/dev/null >>initrd
      cp /edu /pci .; printf "script\nedu\npci\n" | cpio -o -H newc 2>/dev/null >>initrd )
    microvm run --kernel /lab/vmlinuz --initrd /tmp/initrd --memory 256M --cpus 2 "$@" --cmdline "console=ttyS0 quiet iomem=relaxed $words microvm.exec=sh /script"
}
truncate -s 64M /tmp/a.img
microvm vfio bind $nvme; microvm vfio bind $edu

# One request at a time, one interrupt a request: none may be lost, and none come twice.
guest --transport pci --disk path=/tmp/a.img --rng --device $nvme <<"END" &
modprobe nvme; while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done; sleep 1
# load NAME DEVICE IRQ ACTION...: 4,096 reads, one by one, beside the action.
load() {
    name=$1 from=$2 irq=$3; shift 3
    before=$(count $irq)
    dd if=$from of=/dev/null bs=4k count=4096 iflag=direct 2>/tmp/dd & reader=$!
    "$@" | sed "s/@[a-z]*/@${name}_times/"
    wait $reader
    echo "@${name}_read $(sed -n "s/^\([0-9]*\)+0 records in.*/\1/p" /tmp/dd)"
    echo "@${name}_interrupts $(( $(count $irq) - before ))"
}
load mask /dev/vda req.0 /pci $disk mask 1 2000
load all /dev/vda req.0 /pci $disk all 2000
load rewrite /dev/vda req.0 /pci $disk rewrite 0 2000
load nvme_mask /dev/nvme0n1 nvme0q[12] /pci $nvme mask 1 2000
load nvme_all /dev/nvme0n1 nvme0q[12] /pci $nvme all 2000
/pci $disk garbage 0; /pci $disk widths 0; /pci $nvme widths 5
# Resets in the middle of input and output.
dd if=/dev/urandom of=/tmp/data bs=64k count=128 2>/dev/null
dd if=/tmp/data of=/dev/nvme0n1 bs=4k oflag=direct 2>/dev/null & writer=$!
i=0; while [ $i -lt 3 ]; do sleep 0.3; echo 1 >$nvme/reset && echo "@reset $((i+1))"; i=$((i+1)); done
wait $writer; echo 3 >/proc/sys/vm/drop_caches
echo "@reset_data $(md5sum </tmp/data | cut -c1-32) $(dd if=/dev/nvme0n1 bs=64k count=128 2>/dev/null | md5sum | cut -c1-32)"
# The entropy device, without its driver: a BAR moved under a reader, configuration space with 8 bytes.
for d in /sys/bus/pci/devices/*; do [ "$(cat $d/device)" = 0x1044 ] && rng=$d; done
echo ${rng##*/} >/sys/bus/pci/drivers/virtio-pci/unbind; echo 1 >$rng/enable
/pci $rng move 0 0x4700000000 4000
f=${rng##*.}; d=$(echo $rng | sed "s/.*:\(..\)\..$/\1/")
/pci $rng ecam $(( 0xe0000000 + (0x$d << 15) + (f << 12) ))
echo ${rng##*/} >/sys/bus/pci/drivers/virtio-pci/bind; sleep 1
echo "@random $(dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c)"
dmesg | grep -iE "nvme.*(timeout|polled|abort)|WARNING:|BUG:|soft lockup|nobody cared|No irq handler" | sed s/^/D:/
echo "@done 1"
END
machine=$!; sleep 20; m=$(pidof microvm); before=$(ls /proc/$m/fd | wc -l)
while [ -d /proc/$m/fd ]; do n=$(ls /proc/$m/fd 2>/dev/null | wc -l); [ $n -gt 0 ] && after=$n; sleep 1; done
wait $machine; echo "@code $?"; echo "@fds_more $((after - before))"

# INTx switched off and on under load, on the shared line of two devices.
words=pci=nomsi guest --device $nvme <<"END"
modprobe nvme; while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done
dd if=/dev/nvme0n1 of=/dev/null bs=4k count=4096 iflag=direct 2>/tmp/dd & reader=$!
/pci $nvme line 4000
wait $reader; sed -n "s/^\([0-9]*\)+0 records in.*/@line_read \1/p" /tmp/dd
dmesg | grep -iE "nvme.*(timeout|polled|abort)|nobody cared" | sed s/^/D:/
END
echo "@line_code $?"

# The BAR of a real device moved under a reader; a storm of its interrupts.
guest --device $edu <<"END"
/edu $edu id; /edu $edu dma; /pci $edu move 0 0xc8000000 4000; /edu $edu dma | sed "s/@dma/@moved_dma/"; /edu $edu storm 100000
END
echo "@edu_code $?"

# Killed at random moments during DMA, and used again.
i=0; while [ $i -lt 4 ]; do
    guest --device $edu >/tmp/out 2>&1 <<"END" &
/edu $edu dma; /edu $edu stream 100000
END
    j=0; while ! grep -q "@streaming" /tmp/out && [ $j -lt 300 ]; do sleep 0.1; j=$((j+1)); done
    usleep $((RANDOM * 20)); kill -9 $(pidof microvm); wait
    grep -q "@dma right" /tmp/out && echo "@again $((i+1))"
    i=$((i+1))
done
# The host takes the device back from a guest that uses it.
guest --device $edu >/tmp/out 2>&1 <<"END" &
/edu $edu stream 100000
END
machine=$!; j=0; while ! grep -q "@streaming" /tmp/out && [ $j -lt 300 ]; do sleep 0.1; j=$((j+1)); done
microvm vfio unbind $edu; echo "@unbind $?"
wait $machine; echo "@taken $?"; tail -n 2 /tmp/out
dmesg | grep -cE "WARNING:|BUG:|Oops" | sed "s/^/@splat /"
LAB
expect_exit 0 "the lab ends well"
expect_value "the guest comes to its end" done 1
expect_value "and ends well" code 0
for what in mask all rewrite nvme_mask nvme_all; do
    expect_value "$what: every read is answered" ${what}_read 4096
    expect_at_least "$what: while it is done" ${what}_times 50
    expect_at_most "$what: no interrupt comes twice" ${what}_interrupts 4200
    note "$what: $(value_of ${what}_times) times, $(value_of ${what}_interrupts) interrupts for 4096 requests"
done
expect_value "vectors with garbage are survived" garbage 1
expect_value "an entry written with every width can be put right" widths 1
expect_value "three resets in the middle of output" reset 3
expect_value "and the data is right" reset_data '([0-9a-f]{32}) \1'
expect_at_least "a BAR moved under a reader" move 5
expect_value "8 bytes of configuration space are two dwords, and the next function is another" ecam 1
expect_value "the function works again after all that" random 64
expect_at_most "no descriptor for a change: one for a vector that is used first then" fds_more 8
expect_value "INTx switched off and on: every read is answered" line_read 4096
expect_at_least "INTx: while it is done" line 100
refute_line "nothing was lost that a driver had to wait for" '^D:'
expect_value "edu: DMA is right after its BAR was moved" moved_dma right
expect_at_least "edu: a storm of interrupts is survived" storm 1
expect_value "edu: the guest ends well" edu_code 0
expect_value "killed four times during DMA: the next guest finds the device as new" again 4
expect_value "the host gets the device back" unbind 0
expect_value "the machine that had it ends" taken 125
expect_line "and says why" 'the host wants assigned device .* back'
expect_value "the host's kernel has nothing to complain about" splat 0
