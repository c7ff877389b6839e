# What a guest was told is durable, is: each of its flushes is one fdatasync of the image, and a VMM that is killed at a
# random moment loses nothing that was acknowledged: neither blocks nor, after its journal was replayed, files of ext4.
# MICROVM_KILLS (6, half of them with ext4) kills, the moments from MICROVM_KILL_SEED.
# tier: full
# seconds: 75
# covers: vmm/MicroVm/Virtio/Block
# rows: B6 B7
source "$(dirname "$0")/../case.sh"
need strace:strace mke2fs:e2fsprogs
if [[ ${MICROVM_EFFORT:-} == full ]]; then usual=20; else usual=6; fi
kills=${MICROVM_KILLS:-$usual} seed=${MICROVM_KILL_SEED:-$RANDOM}
note "MICROVM_KILL_SEED=$seed"

truncate -s 32M "$folder/ext4"
mke2fs -q -t ext4 -b 4096 "$folder/ext4"

strace_files=(--file "$(command -v strace)=/usr/bin/strace")
for library in $(ldd "$(command -v strace)" | grep -o '/[^ ]*'); do strace_files+=(--file "$library=$library"); done

lab_run --timeout $((120 + kills * 40)) "${strace_files[@]}" --file "$folder/ext4=/ext4" --set seed="$seed" --set kills="$kills" <<'LAB'
put_script <<"SCRIPT"
mode=$(sed -n "s/.*mode=\([a-z]*\).*/\1/p" /proc/cmdline)
if [ $mode = count ]; then
    i=0; while [ $i -lt 50 ]; do echo $i | dd of=/dev/vda bs=512 seek=$i conv=sync,fsync 2>/dev/null; i=$((i+1)); done
    exit 0
fi
# A file whose content and name are durable (ext4 commits the name with the file), one after the other.
if [ $mode = files ]; then
    mkdir /m; mount -t ext4 /dev/vda /m
    i=0; while [ $i -lt 4000 ]; do
        { yes file-$i | head -n 200; } | dd of=/m/$i conv=fsync 2>/dev/null && echo "acknowledged $i"
        [ $i -lt 20 ] || rm /m/$((i - 20)); i=$((i+1))
    done
fi
# The number goes to the console when its block is durable, and not before.
i=0; while [ $i -lt 4000 ]; do echo block-$i | dd of=/dev/vda bs=4096 seek=$i conv=sync,fsync 2>/dev/null && echo "acknowledged $i"; i=$((i+1)); done
SCRIPT
truncate -s 32M /tmp/disk
strace -f -qq -e trace=fdatasync,fsync -o /tmp/calls microvm run $files --disk path=/tmp/disk,aio=threads --memory 512M --cmdline "console=ttyS0 quiet mode=count microvm.exec=sh /script"
echo "@counted $?"
echo "@flushes $(grep -c "sync(.* = 0" /tmp/calls)"
# Through io_uring they are operation 3 (IORING_OP_FSYNC), which the kernel counts.
requests=/sys/kernel/tracing/events/io_uring/io_uring_submit_sqe
echo hist:keys=opcode >$requests/trigger
microvm run $files --disk path=/tmp/disk,aio=io_uring --memory 512M --cmdline "console=ttyS0 quiet mode=count microvm.exec=sh /script"
echo "@ring_counted $?"
echo "@ring_flushes $(sed -n "s/.*opcode: *3 .*hitcount: *\([0-9]*\).*/\1/p" $requests/hist)"
echo "!hist:keys=opcode" >$requests/trigger

RANDOM=$seed; lost=0 acknowledged=0 killed=0 files_checked=0
mkdir -p /m
# check_blocks LAST, check_files LAST: everything up to LAST is in the image; of the files, the last ones are left.
check_blocks() {
    for i in $(seq 0 $1); do
        [ "$(dd if=/tmp/disk bs=4096 skip=$i count=1 2>/dev/null | head -n 1)" = block-$i ] || { lost=$((lost+1)); echo "lost $i"; }
    done
}
check_files() {
    mount -t ext4 -o loop /tmp/disk /m || { lost=$((lost+1)); echo "the file system cannot be mounted"; return; }
    for i in $(seq $(( $1 > 15 ? $1 - 15 : 0 )) $1); do
        [ "$(md5sum </m/$i)" = "$(yes file-$i | head -n 200 | md5sum)" ] || { lost=$((lost+1)); echo "lost file $i"; }
        files_checked=$((files_checked+1))
    done
    umount /m
}
while [ $killed -lt $kills ]; do
    # The console of the guest before must not be taken for this one: it is emptied before the next begins.
    [ $((killed % 2)) = 0 ] && mode=write || mode=files
    rm -f /tmp/disk; : >/tmp/console
    [ $mode = files ] && cp /ext4 /tmp/disk || truncate -s 32M /tmp/disk
    microvm run $files --disk path=/tmp/disk --memory 512M --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/console 2>/dev/null &
    vmm=$!
    i=0; while [ $i -lt 1800 ] && ! grep -q "^acknowledged 1" /tmp/console; do usleep 50000; i=$((i+1)); done
    usleep $((RANDOM * 45))
    kill -KILL $vmm; wait $vmm 2>/dev/null
    # A line that was cut short acknowledges nothing.
    last=$(sed -n "s/^acknowledged \([0-9]*\)\r$/\1/p" /tmp/console | tail -n 1)
    [ -n "$last" ] || { echo "no acknowledgement"; break; }
    [ $mode = files ] && check_files $last || check_blocks $last
    acknowledged=$((acknowledged + last + 1)) killed=$((killed+1))
done
echo "@files $files_checked"
echo "@killed $killed"; echo "@acknowledged $acknowledged"; echo "@lost $lost"
LAB

expect_exit 0 "the lab ends well"
expect_value "B7: the guest that flushes ends with 0" counted 0
expect_at_least "B7: as many fdatasync calls as the guest had flushes" flushes 50
expect_value "B7: the guest that flushes through io_uring ends with 0" ring_counted 0
expect_at_least "B7: as many of them through io_uring" ring_flushes 50
expect_value "B6: every kill came after an acknowledgement" killed "$kills"
expect_at_least "B6: blocks were acknowledged" acknowledged $((kills * 2))
expect_at_least "B6: files of ext4 were checked after the journal was replayed" files $(( kills / 2 ))
expect_value "B6: none of them is lost" lost 0
