# Other stock kernels of Debian's, with other compressions, boot with microvm as well.
# tier: full
# seconds: 70
# covers: vmm/MicroVm/Boot vmm/MicroVm/Acpi acpi.def
source "$(dirname "$0")/../case.sh"

for kernel in linux-image-amd64 linux-image-6.12-amd64; do
    lab_run --guest-kernel "$kernel" <<'LAB'
run --memory 512M --rng --cmdline "console=ttyS0 quiet"
LAB
    expect_exit 0 "$kernel ends with 0"
    expect_line "$kernel reaches user space" '^microvm guest: Linux 6\.[^ ]* cpus=1 '
done
