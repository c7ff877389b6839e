# CPUs in and out of a stock Debian guest that runs, ten times; refused ejects, wrong numbers, hostile registers.
# tier: full
# seconds: 70
# covers: vmm/MicroVm/Hotplug vmm/MicroVm/Kvm vmm/MicroVm/Devices/AcpiGed vmm/MicroVm/Devices/AcpiUnit acpi.def
source "$(dirname "$0")/../case.sh"

need gcc:gcc /usr/include/stdio.h:libc6-dev
gcc -O1 -static -s -o "$folder/poke" "$lab/poke.c"

lab_run --timeout 500 --file "$folder/poke=/poke" <<'LAB'
put_script <<"SCRIPT"
echo running
# A udev rule of a stock guest does this: what comes is brought up.
( while ! [ -e /tmp/quiet ]; do for c in /sys/devices/system/cpu/cpu[1-9]*; do [ "$(cat $c/online)" = 0 ] && echo 1 >$c/online; done 2>/dev/null; usleep 20000; done ) &
last=; round=0
while [ $round -lt 11 ]; do
    now=$(cat /sys/devices/system/cpu/online)
    [ "$now" = "$last" ] && { usleep 10000; continue; }
    last=$now
    # Each of them runs what is sent there.
    [ $now = 0-3 ] && echo "counted $(grep -c ^processor /proc/cpuinfo) $(nproc) $(for c in 0 1 2 3; do taskset -c $c sh -c "cut -d\" \" -f39 /proc/self/stat" | tr "\n" " "; done)"
    echo "online: $now"
    [ $now = 0 ] && round=$((round+1))
done
touch /tmp/quiet; sleep 0.2
echo 0 >/sys/firmware/acpi/hotplug/processor/enabled; echo "refuses"
while ! [ -e /sys/devices/system/cpu/cpu2 ]; do usleep 20000; done; sleep 5
echo 1 >/sys/firmware/acpi/hotplug/processor/enabled; echo "takes"
while [ -e /sys/devices/system/cpu/cpu2 ]; do usleep 20000; done
# An eject that nobody asked for; then registers: eject of the first CPU, of absent ones, of none; answers to nothing.
echo 1 >/sys/devices/system/cpu/cpu1/firmware_node/eject; sleep 0.2; echo "ejected $(cat /sys/devices/system/cpu/present)"
for a in 0xfeb10004 0xfeb10008 0xfeb1000c 0xfeb10074 0xfeb1007c 0xfeb10070 0xfeb10084 0xfeb103f4; do for v in 4 0xffffffff 3 0; do /poke $a 4 $v; done; done
dmesg | grep -E "WARNING:|BUG:|Oops|ACPI Error|ACPI Exception|lockup" | sed "s/^/D:/"
echo "wrote"
while ! [ -e /sys/devices/system/cpu/cpu1 ]; do usleep 20000; done; sleep 0.2
# A CPU that the guest uses is given back behind its own back.
echo 1 >/sys/devices/system/cpu/cpu1/online; echo "end"; /poke 0xfeb10014 4 4
sleep 1000
SCRIPT
cp /poke /tmp/poke; (cd /tmp; echo poke | cpio -o -H newc 2>/dev/null >>initrd)
microvm run $files --memory 256M --name web --max-cpus 8 --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>/tmp/errors & vmm=$!
wait_for running; wait_for "online: 0.?$"
up=0; down=0; i=1
while [ $i -le 10 ]; do
    microvm ctl web resize --cpus 4 --wait 40 && up=$((up+1)); wait_for "online: 0-3" $i
    [ $i = 1 ] && threads=$(ls /proc/$vmm/task | wc -l)
    microvm ctl web resize --cpus 1 --wait 40 && down=$((down+1)); wait_for "online: 0.?$" $((i+1))
    i=$((i+1))
done
echo "@rounds $up $down"
wait_for refuses; microvm ctl web resize --cpus 3; echo "@up $?"
microvm ctl web resize --cpus 2 2>&1 | sed "s/^/E0:/"
microvm ctl web info | sed "s/^/I:/"
wait_for takes; microvm ctl web resize --cpus 2; echo "@takes $?"
wait_for wrote; microvm ctl web info | sed "s/^/W:/"
microvm ctl web resize --cpus 9 2>&1 | sed "s/^/E1:/"
microvm ctl web resize --cpus 0 2>&1 | sed "s/^/E2:/"
microvm ctl web resize --cpus x 2>&1 | sed "s/^/E3:/"
microvm ctl web resize 2>&1 | sed "s/^/E4:/"
microvm ctl web resize --cpus 2; wait_for end; sleep 1
microvm ctl web info | sed "s/^/J:/"
echo "@threads $(( $(ls /proc/$vmm/task | wc -l) - threads ))"
grep -E "^(counted|ejected|D:)" /tmp/console; sed "s/^/S:/" /tmp/errors
microvm ctl web stop; wait $vmm; echo "@code $?"
microvm run $files --cpus 4 --max-cpus 2 2>&1 | sed "s/^/E5:/"
microvm run $files --max-cpus 65 2>&1 | sed "s/^/E6:/"
microvm run $files --memory 256M --name few --cmdline "console=ttyS0 quiet microvm.exec=sleep 1000" >/tmp/console 2>&1 & vmm=$!
for w in $(seq 300); do [ -e /run/microvm/few.sock ] && break; usleep 100000; done; microvm ctl few resize --cpus 2 2>&1 | sed "s/^/E7:/"; microvm ctl few stop; wait $vmm
t=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
for n in "--cpus 2" "--cpus 2 --max-cpus 8"; do
    echo hist:keys=reason >$t/trigger
    microvm run --kernel /lab/vmlinuz --initrd /lab/initrd $n --cmdline "console=ttyS0 quiet" >/dev/null
    sed -n "s/.*hitcount: *\([0-9]*\).*/\1/p" $t/hist | awk -v n="$n" "{ sum += \$1 } END { print \"@exits\", n \":\", sum }"
    echo "!hist:keys=reason" >$t/trigger
done
LAB
expect_exit 0 "the lab ends well"
expect_value "three CPUs in and out ten times" rounds '10 10'
expect_line "the guest counts four, and each runs what is sent there" '^counted 4 4 0 1 2 3 '
expect_value "a CPU comes also where none may go" up 0
expect_line "an eject that the guest refuses: its status reaches the caller in words" '^E0:microvm: error: the guest did not give it back, cpu 2: it does not eject this device \(status 0x80\)\. It stays'
expect_line "and the CPU stays" '^I:cpus +3'
expect_value "when it does no longer refuse, it goes" takes 0
expect_line "one that the guest ejects unasked is gone" '^W:cpus +1$'
expect_line "for the guest too" '^ejected 0.?$'
expect_line "the first CPU cannot be ejected" '^S:microvm: guest error: cpu\[0\]: the guest ejects what cannot go'
expect_line "nor one that is not there" '^S:microvm: guest error: cpu\[7\]: the guest ejects what is not there'
expect_line "more CPUs than there may be are refused" '^E1:microvm: error: the machine cannot have that many CPUs, --cpus 9\. Give 1 to 8, or start it with more --max-cpus\.'
expect_line "and none" '^E2:microvm: error: not a number of vCPUs, --cpus 0\. Use 1 to 64\.'
expect_line "and what is no number" '^E3:microvm: error: not a number of vCPUs, --cpus x\.'
expect_line "and no size" '^E4:microvm: error: resize takes a size, none was given\. Use '
expect_line "fewer at most than at start are refused" '^E5:microvm: error: cannot make room for that many vCPUs, --max-cpus 2\. Give 4 to 64\.'
expect_line "and more than a machine can have" '^E6:microvm: error: not a number of vCPUs, --max-cpus 65\. Use 1 to 64\.'
expect_line "a machine without --max-cpus says so" '^E7:microvm: error: the number of CPUs of this machine stays, --cpus 2\. Start it with --max-cpus N\.'
expect_line "a guest that gives back the CPU that it uses harms only itself" '^J:cpus +1$'
expect_at_most "its thread is gone" threads -2
expect_value "and the machine can be stopped" code 125
refute_line "the guest's kernel had nothing to complain about until then" '^D:'
note "exits of a boot: $(grep ^@exits "$out" | sed 's/^@exits //' | tr '\n' ';')"

# From every count to every other, the new CPUs brought up from the last to the first: the one made last must start too.
lab_run --timeout 300 <<'LAB'
put_script <<"SCRIPT"
cpus=/sys/devices/system/cpu
echo running
while read -r count; do
    [ $count = 0 ] && break
    while [ "$(cat $cpus/present | sed 's/^0-//')" != $((count - 1)) ]; do usleep 10000; done
    for c in 4 3 2 1; do
        [ "$(cat $cpus/cpu$c/online 2>/dev/null)" = 0 ] && echo 1 >$cpus/cpu$c/online
    done
    echo "online $(sed 's/^0-//' $cpus/online)"
done
dmesg | grep -E 'WARNING:|BUG:|Oops|failed' | sed 's/^/D:/'
SCRIPT
good=0 wanted=0
for from in 1 2 3 4; do
    rm -f /tmp/in; mkfifo /tmp/in
    microvm run $files --memory 256M --name every --cpus $from --max-cpus 5 \
        --cmdline "console=ttyS0 quiet microvm.exec=sh /script </dev/console" </tmp/in >/tmp/console 2>/dev/null &
    vmm=$!
    exec 3>/tmp/in
    wait_for running
    lines=0
    for to in 1 2 3 4 5; do
        [ $to -gt $from ] || continue
        for count in $to $from; do
            wanted=$((wanted + 1)) lines=$((lines + 1))
            microvm ctl every resize --cpus $count --wait 40 || continue
            echo $count >&3
            wait_for online $lines
            grep ^online /tmp/console | tail -n 1 | grep -q "^online $((count - 1))" && good=$((good + 1)) || echo "from $from to $to: $count CPUs are not online"
        done
    done
    echo 0 >&3; exec 3>&-
    wait $vmm; cat /tmp/console
done
echo "@every $good of $wanted"
LAB
expect_value "from every count to every other and back, each CPU comes up" every '20 of 20'
refute_line "and the guest's kernel has nothing to complain about" '^D:'
