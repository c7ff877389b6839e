# Exits to the VMM, counted by KVM itself: a figure without noise.
# tier: core
# seconds: 15
# covers: vmm/MicroVm/Bus vmm/MicroVm/Kvm vmm/MicroVm/Interrupts vmm/MicroVm/Devices vmm/MicroVm/Virtio/Mmio vmm/MicroVm/Virtio/Queue vmm/MicroVm/Virtio/Transport devices.def generators
source "$(dirname "$0")/../case.sh"

lab_run --timeout 420 <<'LAB'
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
# count NAME ARGUMENTS...: boots, and hands over how many exits there were, in all and by reason.
count() {
    local name=$1; shift
    echo hist:keys=reason >$exits/trigger
    run --memory 256M "$@"
    echo "@${name}_code $?"
    sed -n "s/.*reason: *\([0-9]*\) .*hitcount: *\([0-9]*\).*/\1 \2/p" $exits/hist >/tmp/hist
    echo "!hist:keys=reason" >$exits/trigger
    awk -v name=$name "
        BEGIN { split(\"0 unknown 2 io 5 hlt 6 mmio 8 shutdown 10 interrupted 17 internal 24 system 26 eoi 29 rdmsr 30 wrmsr\", t)
                for (i = 1; i in t; i += 2) names[t[i]] = t[i + 1] }
        { sum += \$2; by = by \" \" (\$1 in names ? names[\$1] : \$1) \"=\" \$2; if (\$1 == 6) mmio = \$2 }
        END { print \"@\" name, sum + 0; print \"@\" name \"_by\" by; print \"@\" name \"_mmio\", mmio + 0 }" /tmp/hist
}
count reference --cmdline "console=ttyS0 quiet"
count idle --rng --cmdline "console=ttyS0 quiet microvm.exec=sed -n /virtio/s/^/idle:/p /proc/interrupts"
count random --rng --cmdline "console=ttyS0 quiet microvm.exec=\
dd if=/dev/hwrng of=/dev/null bs=3200 count=1 2>/dev/null; sed -n /virtio/s/^/random:/p /proc/interrupts"
count status --rng --cmdline "console=ttyS0 quiet microvm.exec=\
cd /sys/bus/virtio/devices/virtio0; i=0; while [ \$i -lt 1000 ]; do read -r s <status; i=\$((i+1)); done; echo \"@read \$i \$s\""
LAB
difference() { # the exits of one boot that the idle one has not
    [[ $(value_of "$1_mmio") && $(value_of idle_mmio) ]] && echo "@$1_more $(( $(value_of "$1_mmio") - $(value_of idle_mmio) ))" >>"$out"
}
difference random
difference status
expect_exit 0 "the lab ends well"
expect_line "the reference boot reaches user space" '^microvm guest: Linux '
expect_value "the reference boot ends with 0" reference_code 0
expect_at_least "exits are counted" reference 1
expect_at_most "exits to the VMM on the reference boot" reference 600
note "reference boot by reason: $(value_of reference_by)"
expect_line "3,200 bytes from the rng take 50 interrupts or more" '^random: *[0-9]+: +([5-9][0-9]|[1-9][0-9]{2,}) '
expect_at_most "used-buffer interrupts cost no exit" random_more 0
expect_value "1,000 reads of a resident register" read '1000 0x.*'
expect_at_most "reads of a resident register cost no exit" status_more 0
note "3,200 bytes from the rng, by reason: $(value_of random_by); without: $(value_of idle_by)"
