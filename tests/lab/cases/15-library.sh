# The library as another program has it: tests/Library.Sample, published with NativeAOT, boots two stock guests in one process.
# tier: full
# seconds: 30
# covers: vmm/MicroVm/Machine vmm/MicroVm/Events tests/Library.Sample
source "$(dirname "$0")/../case.sh"

root=$lab/../..
sample=$folder/sample
if ! dotnet publish "$root/tests/Library.Sample" -c Release -r linux-x64 -o "$sample" -v quiet >&2; then
    fail "the sample is published with NativeAOT" "dotnet publish failed"
    exit 1
fi
passed "the sample is published with NativeAOT"

lab_run --file "$sample/library-sample=/usr/bin/library-sample" <<'LAB'
library-sample /lab/vmlinuz /lab/initrd "console=ttyS0 quiet microvm.exec=echo processors \$(nproc); exit 9"
echo "@both $?"
library-sample /nonexistent 2>&1
echo "@missing $?"
LAB
expect_exit 0 "the lab ends well"
expect_line "the first machine reaches user space" '^a: processors 1'
expect_line "the second machine reaches user space" '^b: processors 1'
expect_line "both give their guest's exit code" '^exit codes 9 and 9'
expect_value "the sample ends with the guests' code" both 9
expect_line "an error is typed and says what to do" '^sample: Image: cannot use the kernel, /nonexistent: .*\. Check '
expect_value "the error's kind is an exit code" missing 126
