# The ways a guest ends, from inside and from outside, and what microvm makes of each.
# tier: core
# seconds: 110
# covers: vmm/MicroVm/Machine vmm/MicroVm/Devices vmm/MicroVm/Diagnostics vmm/MicroVm.Cli
source "$(dirname "$0")/../case.sh"

lab_run --timeout 420 --file "$(command -v env)=/opt/env" <<'LAB'
end() { # NAME WORDS [OPTION...]
    name=$1 words=$2
    shift 2
    run --memory 256M "$@" --cmdline "console=ttyS0 quiet $words" >/tmp/$name 2>/tmp/errors </dev/null
    echo "@$name $?"
    sed "s/^/$name: /" /tmp/errors
}
end poweroff "microvm.exec=poweroff -f"
for how in a k t p e b; do end reboot-$how "reboot=$how microvm.exec=reboot -f"; done
end reboot-cpus "reboot=t microvm.exec=reboot -f" --cpus 2
end reboot-pci "reboot=t microvm.exec=reboot -f" --pci

# Panics: one that the driver of pvpanic reports, and one before it is loaded; by each way to restart.
end panic "microvm.exec=echo c >/proc/sysrq-trigger"
for how in a k t; do end early-$how "reboot=$how rdinit=/none root=/dev/none"; done
end early-user "panic=1 rdinit=/none root=/dev/none"
end sysrq-b "microvm.exec=echo b >/proc/sysrq-trigger"
end force "reboot=force microvm.exec=reboot -f"
# A triple fault of a kernel that runs.
end triple "reboot=t microvm.exec=echo b >/proc/sysrq-trigger"
# Nothing at all is printed at quiet.
end quiet "microvm.exec=exit 0"
echo "@quietlines $(wc -c </tmp/quiet)"
end user "panic=5 microvm.exec=cat /proc/cmdline"
grep -a "^panic=-1 console" /tmp/user | sed "s/^/cmdline: /"

# Guests of the guest's own, by wish only.
for nested in "" --nested; do
    end nested$nested "microvm.exec=grep -qwE 'svm|vmx' /proc/cpuinfo && exit 3; exit 4" $nested
done

run --memory 256M --serial none --console stdio --cmdline "console=hvc0 quiet microvm.exec=echo @hvc \$(cat /sys/class/tty/console/active)"
echo "@hvccode $?"

run --memory 256M --rng --trace mmio --cmdline "console=ttyS0 quiet microvm.exec=exit 0" 2>/tmp/trace
echo "@tracecode $?"
grep virtio-mmio /tmp/trace | sed -n "/QueueNum/s/^/trace: /p" | head -n 3

for signal in TERM INT; do
    # A shell starts background jobs with SIGINT ignored; this env undoes it.
    /opt/env --default-signal=INT microvm run $files --memory 256M \
        --cmdline "console=ttyS0 quiet microvm.exec=echo running; sleep 1000" >/tmp/console 2>/tmp/errors &
    vmm=$!
    for i in $(seq 60); do grep -q running /tmp/console && break; sleep 0.5; done
    grep -q running /tmp/console && echo "@running$signal yes"
    before=$(cut -d. -f1 /proc/uptime)
    (sleep 20; kill -KILL $vmm) 2>/dev/null &
    kill -$signal $vmm
    wait $vmm
    echo "@code$signal $?"
    echo "@seconds$signal $(( $(cut -d. -f1 /proc/uptime) - before ))"
    sed "s/^/$signal: /" /tmp/errors
done
LAB
expect_exit 0 "the lab ends well"
expect_value "poweroff -f ends with 0" poweroff 0
for how in a k t p e b; do expect_value "reboot -f with reboot=$how ends with 0" "reboot-$how" 0; done
expect_value "and with two vCPUs" reboot-cpus 0
expect_value "and with PCI" reboot-pci 0
for name in panic early-a early-k early-t early-user sysrq-b force triple; do
    expect_value "$name ends with 123" "$name" 123
    expect_line "$name says so in one line" "^$name: microvm: error: the guest"
    expect_line "$name shows the registers" "^$name: .*[Rr][Ii][Pp]"
done
expect_line "a panic that the driver reports is called one" '^panic: microvm: error: the guest.s kernel panicked'
expect_line "one before it is loaded is called a restart without a shutdown" '^early-a: .*restarted without a shutdown'
expect_line "a triple fault of a kernel that runs is a crash" '^triple: .*triple fault'
expect_value "a kernel prints nothing at quiet" quietlines 0
expect_line "what the user says of a panic comes last and wins" '^cmdline: panic=-1 console=ttyS0 quiet panic=5'
expect_value "a guest has no virtualization" nested 4
expect_value "unless it is asked for" nested--nested 3
expect_value "hvc0 is a console" hvc '.*hvc0'
expect_value "hvc0: the guest's exit code 0 is microvm's" hvccode 0
expect_line "--trace mmio names device and register" '^trace: .*virtio-mmio.*QueueNum'
expect_value "--trace changes no exit code" tracecode 0
for signal in TERM INT; do
    expect_value "SIG$signal: the guest was running" "running$signal" yes
    expect_at_most "SIG$signal ends microvm soon" "seconds$signal" 10
    check "SIG$signal is a clean end" "exit code $(value_of "code$signal")" test "$(value_of "code$signal")" -ne 137
done
