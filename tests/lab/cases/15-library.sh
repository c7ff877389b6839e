# The library as another program has it: tests/Library.Sample, published with NativeAOT, boots two stock guests in one process.
source "$(dirname "$0")/../case.sh"

root=$lab/../..
sample=$folder/sample
if ! dotnet publish "$root/tests/Library.Sample" -c Release -r linux-x64 -o "$sample" -v quiet >&2; then
    fail "the sample is published with NativeAOT" "dotnet publish failed"
    exit 1
fi
passed "the sample is published with NativeAOT"

# Once in a dozen runs beside another lab the first machine hung before its first line; the cause is not known. A hang says
# where its threads were and what KVM counted meanwhile, and gets one more try.
lab_run --timeout 420 --file "$sample/library-sample=/usr/bin/library-sample" -- '
events=/sys/kernel/tracing/events/kvm
both() { timeout -s KILL 150 library-sample /lab/vmlinuz /lab/initrd "console=ttyS0 quiet microvm.exec=echo processors \$(nproc); exit 9"; }
watch() {
    sleep 120
    process=$(pidof library-sample) || return
    echo "hist:keys=exit_reason" >$events/kvm_exit/trigger
    for task in /proc/$process/task/*; do echo "hang: $(cat $task/comm) $(cut -d" " -f3,14,15 $task/stat)"; done
    sleep 3
    for task in /proc/$process/task/*; do echo "hang: $(cat $task/comm) $(cut -d" " -f3,14,15 $task/stat)"; done
    sed -n "s/^{/hang: {/p" $events/kvm_exit/hist
}
watch & watcher=$!
both; code=$?
kill $watcher
if [ $code = 137 ]; then echo "@hung yes"; both; code=$?; fi
echo "@both $code"
library-sample /nonexistent 2>&1
echo "@missing $?"'
[[ $(value_of hung) != yes ]] || note "the first try hung; see the lines that begin with hang in the log"
expect_exit 0 "the lab ends well"
expect_line "the first machine reaches user space" '^a: processors 1'
expect_line "the second machine reaches user space" '^b: processors 1'
expect_line "both give their guest's exit code" '^exit codes 9 and 9'
expect_value "the sample ends with the guests' code" both 9
expect_line "an error is typed and says what to do" '^sample: Image: cannot use the kernel, /nonexistent: .*\. Check '
expect_value "the error's kind is an exit code" missing 126
