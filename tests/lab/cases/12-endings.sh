# The ways a guest ends, from inside and from outside, and what microvm makes of each.
# tier: core
# seconds: 25
# covers: vmm/MicroVm/Machine vmm/MicroVm/Devices vmm/MicroVm/Diagnostics vmm/MicroVm.Cli
source "$(dirname "$0")/../case.sh"

lab_run --timeout 420 --file "$(command -v env)=/opt/env" <<'LAB'
end() { run --memory 256M --cmdline "console=ttyS0 quiet $2" 2>/tmp/errors; echo "@$1 $?"; sed "s/^/$1: /" /tmp/errors; }
end poweroff "microvm.exec=poweroff -f"
end reboot "microvm.exec=reboot -f"
# A panic restarts the machine at once; reboot=t makes a triple fault of it.
end crash "panic=-1 reboot=t microvm.exec=echo c >/proc/sysrq-trigger"

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
expect_value "reboot -f ends with 0" reboot 0
expect_value "a crash ends with 123" crash 123
expect_line "a crash says so in one line" '^crash: microvm: error: .*guest'
expect_line "a crash shows the registers" '^crash: .*[Rr][Ii][Pp]'
expect_value "hvc0 is a console" hvc '.*hvc0'
expect_value "hvc0: the guest's exit code 0 is microvm's" hvccode 0
expect_line "--trace mmio names device and register" '^trace: .*virtio-mmio.*QueueNum'
expect_value "--trace changes no exit code" tracecode 0
for signal in TERM INT; do
    expect_value "SIG$signal: the guest was running" "running$signal" yes
    expect_at_most "SIG$signal ends microvm soon" "seconds$signal" 10
    check "SIG$signal is a clean end" "exit code $(value_of "code$signal")" test "$(value_of "code$signal")" -ne 137
done
