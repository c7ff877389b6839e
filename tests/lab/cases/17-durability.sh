# What a guest was told is durable, is: each of its flushes is one fdatasync of the image, and a VMM that is killed at a random moment loses
# nothing that was acknowledged. MICROVM_KILLS (6) kills, the moments from MICROVM_KILL_SEED.
# tier: full
# covers: vmm/MicroVm/Virtio/Block
# rows: B6 B7
source "$(dirname "$0")/../case.sh"
need strace:strace
kills=${MICROVM_KILLS:-6} seed=${MICROVM_KILL_SEED:-$RANDOM}
note "MICROVM_KILL_SEED=$seed"

strace_files=(--file "$(command -v strace)=/usr/bin/strace")
for library in $(ldd "$(command -v strace)" | grep -o '/[^ ]*'); do strace_files+=(--file "$library=$library"); done

lab_run --timeout $((120 + kills * 40)) "${strace_files[@]}" --set seed="$seed" --set kills="$kills" <<'LAB'
put_script <<"SCRIPT"
mode=$(sed -n "s/.*mode=\([a-z]*\).*/\1/p" /proc/cmdline)
if [ $mode = count ]; then
    i=0; while [ $i -lt 50 ]; do echo $i | dd of=/dev/vda bs=512 seek=$i conv=sync,fsync 2>/dev/null; i=$((i+1)); done
    exit 0
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

RANDOM=$seed; lost=0 acknowledged=0 killed=0
while [ $killed -lt $kills ]; do
    # The console of the guest before must not be taken for this one: it is emptied before the next begins.
    rm -f /tmp/disk; truncate -s 32M /tmp/disk; : >/tmp/console
    microvm run $files --disk path=/tmp/disk --memory 512M --cmdline "console=ttyS0 quiet mode=write microvm.exec=sh /script" >/tmp/console 2>/dev/null &
    vmm=$!
    i=0; while [ $i -lt 1800 ] && ! grep -q "^acknowledged 1" /tmp/console; do usleep 50000; i=$((i+1)); done
    usleep $((RANDOM * 45))
    kill -KILL $vmm; wait $vmm 2>/dev/null
    # A line that was cut short acknowledges nothing.
    last=$(sed -n "s/^acknowledged \([0-9]*\)\r$/\1/p" /tmp/console | tail -n 1)
    [ -n "$last" ] || { echo "no acknowledgement"; break; }
    for i in $(seq 0 $last); do
        [ "$(dd if=/tmp/disk bs=4096 skip=$i count=1 2>/dev/null | head -n 1)" = block-$i ] || { lost=$((lost+1)); echo "lost $i"; }
    done
    acknowledged=$((acknowledged + last + 1)) killed=$((killed+1))
done
echo "@killed $killed"; echo "@acknowledged $acknowledged"; echo "@lost $lost"
LAB

expect_exit 0 "the lab ends well"
expect_value "B7: the guest that flushes ends with 0" counted 0
expect_at_least "B7: as many fdatasync calls as the guest had flushes" flushes 50
expect_value "B7: the guest that flushes through io_uring ends with 0" ring_counted 0
expect_at_least "B7: as many of them through io_uring" ring_flushes 50
expect_value "B6: every kill came after an acknowledgement" killed "$kills"
expect_at_least "B6: blocks were acknowledged" acknowledged $((kills * 2))
expect_value "B6: none of them is lost" lost 0
