# A guest that sends interrupts to itself as fast as it can, by the ICR of its x2APIC (row I1): the machine answers
# whoever asks, KVM alone deals with the storm, and the machine ends when it is told to. And a guest that takes the
# level-triggered line of an assigned device and does not end it.
# tier: full
# seconds: 80
# covers: vmm/MicroVm/Interrupts vmm/MicroVm/Devices/IoApic vmm/MicroVm/Kvm vmm/MicroVm/Machine
# rows: I1 C1 C3
source "$(dirname "$0")/../case.sh"

need gcc:gcc
"$lab/../guests/build" "$folder" >/dev/null
lab_run --module msr --qemu "-device edu" --file "$folder/line.elf=/line.elf" <<'LAB'
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
put_script <<"SCRIPT"
how=$(sed "s/.*how=\([a-z]*\).*/\1/" /proc/cmdline)
modprobe msr
taken() { awk "/ $1:/ || /^ *$1:/ { print \$2 + \$3 }" /proc/interrupts; }
# storm COUNT BYTES...: that many writes of the 8 bytes to MSR 0x830
storm() {
    printf "$2" >/tmp/once; : >/tmp/many; n=0
    while [ $n -lt 100 ]; do cat /tmp/once >>/tmp/many; n=$((n+1)); done
    n=0; while [ $n -lt $1 ]; do dd if=/tmp/many of=/dev/cpu/0/msr bs=8 seek=262 conv=notrunc 2>/dev/null; n=$((n+100)); done
}
case $how in
    count)
        res=$(taken RES) nmi=$(taken NMI)
        echo "begin"; sleep 1
        storm 15000 "\375\000\010\000\000\000\000\000"   # vector 0xfd, all processors
        storm 200 "\000\004\000\000\001\000\000\000"     # NMI to the second
        storm 200 "\000\004\000\000\000\000\000\000"     # NMI to itself
        echo "end"; sleep 1
        echo "@ipis $(( $(taken RES) - res ))"; echo "@nmis $(( $(taken NMI) - nmi ))" ;;
    ever) echo "begin"; storm 100000000 "\375\000\010\000\000\000\000\000" ;;
    init) echo "begin"; storm 100000000 "\000\005\000\000\001\000\000\000" ;; # INIT to the second
esac
SCRIPT
start() { : >/tmp/console; microvm run $files --name storm --memory 256M --cpus 2 --serial none --console file=/tmp/console --cmdline "console=hvc0 quiet how=$1 microvm.exec=sh /script" & vmm=$!; wait_for begin; }
ask() { asked=$((asked+1)); timeout 5 microvm ctl storm info --json >/dev/null && answered=$((answered+1)); }
start count; asked=0 answered=0
echo hist:keys=reason >$exits/trigger
i=0; while [ $i -lt 600 ] && kill -0 $vmm 2>/dev/null && ! grep -q "^end" /tmp/console; do ask; usleep 200000; i=$((i+1)); done
echo "@exits $(awk "/hitcount/ { n += \$NF } END { print n + 0 }" $exits/hist)"; sed -n "s/^{/D: {/p" $exits/hist
echo "!hist:keys=reason" >$exits/trigger
wait $vmm; echo "@code $?"; echo "@unanswered $((asked - answered))"; echo "@asked $asked"; grep "^@" /tmp/console
for how in ever init; do
    start $how; asked=0 answered=0
    for i in $(seq 10); do ask; usleep 200000; done
    echo "@${how}_unanswered $((asked - answered))"
    if [ $how = ever ]; then timeout 20 microvm ctl storm stop; echo "@${how}_stop $?"; else kill -TERM $vmm; fi
    i=0; while [ $i -lt 200 ] && kill -0 $vmm 2>/dev/null; do usleep 100000; i=$((i+1)); done
    kill -0 $vmm 2>/dev/null && { echo "@${how}_still yes"; kill -9 $vmm; }
    wait $vmm; echo "@${how}_code $?"
done
for d in /sys/bus/pci/devices/*; do [ $(cat $d/device) = 0x11e8 ] && edu=${d##*/}; done
microvm vfio bind $edu
echo hist:keys=reason >$exits/trigger
microvm run --name line --kernel /line.elf --memory 64M --device $edu --cmdline 30000 >/tmp/console & vmm=$!
i=0; while [ $i -lt 600 ] && kill -0 $vmm 2>/dev/null && ! grep -q "^@" /tmp/console; do usleep 50000; i=$((i+1)); done
asked=0 answered=0
for i in 1 2 3; do asked=$((asked+1)); timeout 5 microvm ctl line info >/dev/null && answered=$((answered+1)); done
echo "@line_unanswered $((asked - answered))"
wait $vmm; echo "@line_code $?"
echo "@line_taken $(sed "s/@//" /tmp/console | tr "\n" " ")"
echo "@line_exits $(awk "/hitcount/ { n += \$NF } END { print n + 0 }" $exits/hist)"; sed -n "s/^{/D: {/p" $exits/hist
echo "@line_ends $(sed -n "s/^{ reason: *26 } hitcount: *//p" $exits/hist)"
LAB
expect_exit 0 "the lab ends well"
expect_value "the guest ends well" code 0
expect_at_least "interrupts between processors that arrived" ipis 5000
expect_at_least "NMIs that arrived" nmis 100
expect_value "every question during the storm is answered within 5 s" unanswered 0
expect_at_least "questions" asked 5
# Linux reads port 0x61 twice for an NMI that nobody has sent.
expect_at_most "exits to the VMM meanwhile, of 15,400 interrupts" exits 900
expect_value "a storm without an end: questions are answered" ever_unanswered 0
expect_value "and it is stopped" ever_stop 0
expect_value "with the exit code of a stop" ever_code 125
expect_value "INITs to a processor without an end: questions are answered" init_unanswered 0
expect_value "and SIGTERM ends it" init_code 143
expect_value "a level that is not ended comes once, again while it is asserted when it is ended, and no more when it is not" line_taken '1 1 2 2 '
expect_value "it is two ends" line_ends 2
expect_at_most "and nothing goes round meanwhile: exits of the whole guest" line_exits 60
expect_value "questions are answered" line_unanswered 0
expect_value "and the guest ends by itself" line_code 42
