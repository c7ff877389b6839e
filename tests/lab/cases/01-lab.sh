# The lab itself: a real KVM, VFIO, an IOMMU, what was asked for, and the exit code of the command.
# tier: full
# seconds: 35
# covers: tests/lab
source "$(dirname "$0")/../case.sh"

lab_run --smp 2 --qemu "-device edu" --file /usr/bin/xz=/opt/xz --file "$lab/cases=/cases" <<'LAB'
echo "@kernel $(uname -r)"
echo "@processors $(nproc)"
echo "@groups $(ls /sys/kernel/iommu_groups | wc -l)"
echo "@edu $(cat /sys/bus/pci/devices/*/vendor | grep -c 0x1234)"
for f in /dev/kvm /dev/vfio/vfio /dev/net/tun /dev/vhost-net /dev/vhost-vsock /lab/vmlinuz /lab/initrd /sys/kernel/tracing/events/kvm; do
    test -e $f && echo "have $f."
done
echo "@nested $(cat /sys/module/kvm_amd/parameters/npt)"
echo text | /opt/xz | /opt/xz -d | sed "s/^/xz says /"
ls /cases
lsmod
exit 7
LAB
expect_exit 7 "exit code 7 comes out of the lab"
expect_value "the lab's kernel is Debian's cloud kernel" kernel '.*-cloud-amd64'
expect_value "--smp 2" processors 2
expect_at_least "IOMMU groups, with a group for the edu device" groups 3
expect_value "--qemu adds a device" edu 1
for file in /dev/kvm /dev/vfio/vfio /dev/net/tun /dev/vhost-net /dev/vhost-vsock /lab/vmlinuz /lab/initrd /sys/kernel/tracing/events/kvm; do
    expect_line "$file is there" "^have $file\.$"
done
expect_value "nested paging" nested '[Y1]'
expect_line "--file brings a program with its libraries" '^xz says text$'
expect_line "--file brings a folder" '01-lab\.sh'
expect_line "vfio_iommu_type1 is loaded" '^vfio_iommu_type1'
refute_line "lines end in a line feed alone" $'\r'

lab_run --verbose -- sh -c 'echo "<$1|$2>"' sh 'two  words' "it's"
expect_exit 0 "exit code 0 comes out of the lab"
expect_line "arguments arrive as they were given" "^<two  words\|it's>$"
expect_line "a second call rebuilds nothing ($(sed -n 's/^lab: prepared in \(.*\), .*/\1/p' "$out"))" 'nothing was rebuilt'

lab_run -- no-such-command
expect_exit 127 "a command that is not there ends with 127"

LAB_PATIENCE=1 lab_run --timeout 8 -- 'echo begun; sleep 100'
expect_exit 124 "a lab that hangs is ended with 124"
expect_line "and says so" '^lab: timed out after 8 seconds'

lab_run <<'LAB'
kill -9 $$
LAB
expect_exit 137 "a command killed by SIGKILL ends with 137"

"$lab/lab" >"$out" 2>&1 && code=$? || code=$?
expect_exit 125 "no command is an error of the caller"
