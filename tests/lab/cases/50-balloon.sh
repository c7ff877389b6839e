# A stock guest with a balloon, over virtio-mmio and over PCI: inflated, deflated, free pages reported; what it gives up comes back to the host (RSS of the process).
# tier: full
# seconds: 60
# covers: vmm/MicroVm/Virtio/Balloon vmm/MicroVm/Memory
source "$(dirname "$0")/../case.sh"

lab_run --timeout 600 <<'LAB'
put_script <<"SCRIPT"
mkdir /m; mount -t tmpfs -o size=200M t /m
free() { sed -n "s/^MemFree: *\([0-9]*\) kB/\1/p" /proc/meminfo; }
dd if=/dev/zero of=/m/a bs=1M count=150 2>/dev/null; echo "filled $(free)"
read -r x; rm /m/a; echo "emptied $(free)"
while read -r x; do
    [ $x = press ] && { dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null; echo "pressed $?"; }
    echo "free $x $(free)"; [ $x = end ] && break
done
dmesg | sed s/^/D:/
SCRIPT
rss() { awk "/^Rss:/ { sum += \$2 } END { print int(sum / 1024) }" /proc/$vmm/smaps; }
balloon() { microvm ctl b balloon --json | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"; }
wait_balloon() { local i; for i in $(seq 100); do [ "$(balloon $1)" = $2 ] && return 0; sleep 0.2; done; return 1; }
say() { echo $1 >&3; for i in $(seq 100); do grep -q "$2" /tmp/console && return 0; sleep 0.2; done; }
for mode in mmio pci; do
    : >/tmp/console; rm -f /tmp/in; mkfifo /tmp/in
    microvm run $files --memory 320M --name b --balloon=oom,statistics=1,transport=$mode \
        --cmdline "console=ttyS0 quiet microvm.exec=sh /script </dev/console" </tmp/in >/tmp/console 2>/tmp/errors &
    vmm=$!; exec 3>/tmp/in
    for i in $(seq 200); do grep -q ^filled /tmp/console && break; sleep 0.2; done
    echo "@${mode}_filled $(rss)"
    say go ^emptied
    echo "@${mode}_emptied $(rss)"
    microvm ctl b resize --balloon 200M; echo "@${mode}_resize $?"
    wait_balloon actualBytes 209715200 && echo "@${mode}_inflated yes"
    echo "@${mode}_small $(rss)"
    say small "^free small"
    microvm ctl b balloon | sed "s/^/B:/"
    # A process of the guest wants more than is left: the balloon gives way, nothing is killed.
    [ $mode = mmio ] && { say press "^free press"; echo "@pressed $(sed -n "s/^pressed \([0-9]*\).*/\1/p" /tmp/console) $(grep -c "Out of memory" /tmp/console)"; echo "@gave_way $(( (209715200 - $(balloon actualBytes)) >> 20 ))"; microvm ctl b resize --balloon 201M; microvm ctl b resize --balloon 200M; wait_balloon actualBytes 209715200; }
    microvm explain b | sed "s/^/X:/"
    microvm ctl b resize --balloon 0
    wait_balloon actualBytes 0 && echo "@${mode}_deflated yes"
    say large "^free large"
    i=0; while [ $i -lt $( [ $mode = mmio ] && echo 10 || echo 1 ) ]; do
        microvm ctl b resize --balloon 100M; wait_balloon actualBytes 104857600 || break
        microvm ctl b resize --balloon 0; wait_balloon actualBytes 0 || break
        i=$((i+1))
    done
    echo "@${mode}_times $i"
    microvm ctl b resize --balloon 2G 2>&1 | sed "s/^/E:/"
    microvm ctl b resize --ballon 1M 2>&1 | sed "s/^/E:/"
    [ $mode = mmio ] && microvm ctl b stop || say end "^free end"
    exec 3>&-
    wait $vmm; echo "@${mode}_code $?"
    sed -n "s/^free \([a-z]*\) \([0-9]*\).*/@${mode}_free_\1 \2/p" /tmp/console
    sed s/^/S:/ /tmp/errors; grep ^D: /tmp/console
done
# The same guest tells of free pages by itself.
: >/tmp/console; rm -f /tmp/in; mkfifo /tmp/in
microvm run $files --memory 320M --name b --balloon=reporting --cmdline "console=ttyS0 quiet microvm.exec=sh /script </dev/console" </tmp/in >/tmp/console 2>&1 &
vmm=$!; exec 3>/tmp/in
for i in $(seq 400); do grep -q ^filled /tmp/console && break; sleep 0.2; done
before=$(rss); echo "@reporting_before $before"
say go ^emptied
for i in $(seq 300); do [ $(rss) -le $((before - 100)) ] && break; sleep 0.2; done
echo "@reporting_bytes $(balloon reportedBytes)"
echo "@reporting_after $(rss)"
exec 3>&-
microvm ctl b stop; wait $vmm; true
LAB
expect_exit 0 "the lab ends well"
for mode in mmio pci; do
    note "$mode: MiB resident: filled $(value_of ${mode}_filled), file deleted $(value_of ${mode}_emptied), inflated $(value_of ${mode}_small)"
    expect_at_least "$mode: what the guest deletes stays with the process" ${mode}_emptied 180
    expect_value "$mode: resize is answered" ${mode}_resize 0
    expect_value "$mode: the guest gives up 200 MiB" ${mode}_inflated yes
    expect_at_most "$mode: and the host has them" ${mode}_small $(( $(value_of ${mode}_emptied) - 120 ))
    expect_value "$mode: it takes them back" ${mode}_deflated yes
    check "$mode: the guest has less memory meanwhile, and more again" "free: $(value_of ${mode}_free_small), then $(value_of ${mode}_free_large) kB" \
        test "$(( $(value_of ${mode}_free_large) - $(value_of ${mode}_free_small) ))" -gt 150000
done
expect_value "a process of the guest gets memory that the balloon has, and none is killed" pressed '0 0'
expect_at_least "MiB that the balloon gave way" gave_way 20
expect_value "ten times" mmio_times 10
expect_value "and once more over PCI" pci_times 1
expect_value "the guest that was stopped" mmio_code 125
expect_value "the guest that ends by itself" pci_code 0
expect_line "the guest's figures are shown" '^B:totalMemory +[0-9]{9}'
expect_line "and what went back" '^B:inflatedBytes +209715200'
expect_line "explain shows the balloon" '^X:.*209715200 +209715200'
expect_line "more than the guest has is refused" '^E:microvm: error: the guest has not that much memory, 2048 MiB of 320\.'
expect_line "an unknown thing to resize too" '^E:microvm: error: .*--ballon'
note "free page reporting: $(value_of reporting_before) MiB resident, then $(value_of reporting_after)"
expect_at_least "bytes of free pages that were reported" reporting_bytes 104857600
expect_at_most "free pages that are reported go back by themselves" reporting_after $(( $(value_of reporting_before) - 100 ))
refute_line "the monitor has nothing to complain about" '^S:microvm: (guest )?error'
refute_line "nor has the kernel" '^D:.*(WARNING:|BUG:|Call Trace)'
