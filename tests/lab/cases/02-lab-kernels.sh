# Other kernels on either side, and what the guest's initramfs promises, with QEMU as the VMM.
# tier: full
# seconds: 25
# covers: tests/lab
source "$(dirname "$0")/../case.sh"

shared <<'LAB'
# boot WORDS: isa-debug-exit ends QEMU with twice the guest's code, plus one.
boot() {
    qemu-system-x86_64 -M microvm,accel=kvm -cpu host -m 512 -nodefaults -display none -no-reboot -serial stdio \
        -kernel /lab/vmlinuz -initrd /lab/initrd -device isa-debug-exit,iobase=0xf4,iosize=1 \
        -append "console=ttyS0 quiet reboot=t panic=-1 $*"
}
LAB

lab_run --with-qemu --host-kernel linux-image-amd64 <<'LAB'
echo "@host $(uname -r)"
boot
echo "@hello $?"
boot 'microvm.exec=echo "@guest $(uname -r)"; lsmod; modprobe virtiofs && echo has virtiofs; exit 42'
LAB
expect_exit 85 "the guest's exit code 42 goes to the exit port"
expect_value "--host-kernel linux-image-amd64 boots" host '6\.[0-9.]+-[0-9]+-amd64'
expect_line "without microvm.exec the guest says hello" '^microvm guest: Linux 6\.[^ ]*-cloud-amd64 cpus=1 uptime=[0-9.]+$'
expect_value "and gives 0 to the exit port" hello 1
expect_value "the guest's kernel is the cloud kernel" guest '.*-cloud-amd64'
for module in virtio_mmio virtio_pci virtio_blk virtio_net virtio_rng virtio_console virtio_balloon vmw_vsock_virtio_transport pvpanic_mmio; do
    expect_line "the guest has loaded $module" "^$module "
done
expect_line "the guest can load virtiofs" '^has virtiofs$'

lab_run --with-qemu --guest-kernel linux-image-amd64 <<'LAB'
boot 'microvm.exec=echo "@guest $(uname -r)"; exit 3'
LAB
expect_exit 7 "the generic kernel's guest gives its exit code, too"
expect_value "--guest-kernel linux-image-amd64 boots" guest '6\.[0-9.]+-[0-9]+-amd64'
