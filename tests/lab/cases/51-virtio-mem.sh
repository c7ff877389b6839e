# A stock guest with a virtio-mem device: grows and shrinks ten times, alone over virtio-mmio and beside vhost-net over PCI; what it gives back is the host's again.
# tier: full
# seconds: 50
# covers: vmm/MicroVm/Virtio/Mem vmm/MicroVm/Memory vmm/MicroVm/Virtio/Vhost
source "$(dirname "$0")/../case.sh"

lab_run --timeout 900 <<'LAB'
tunctl -t tap0 >/dev/null; ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
put_script <<"SCRIPT"
total() { sed -n "s/^MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo; }
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up 2>/dev/null
mkdir /m; mount -t tmpfs -o size=90% t /m; httpd -p 10.0.0.2:80 -h /m 2>/dev/null
echo online_movable >/sys/devices/system/memory/auto_online_blocks
modprobe virtio_mem
echo "ready $(total)"
while read -r x; do
    case $x in
        fill*) mount -o remount,size=90% /m; dd if=/dev/urandom of=/m/b bs=1M count=16 2>/dev/null; dd if=/dev/zero of=/m/a bs=1M count=210 2>/dev/null; echo "sum $(md5sum </m/b | cut -c1-32)" ;;
        check*) echo "check $(md5sum </m/b | cut -c1-32)"; rm /m/a /m/b; echo 3 >/proc/sys/vm/drop_caches ;;
    esac
    echo "done $x $(total)"
    [ $x = end ] && break
done
dmesg | sed s/^/D:/
SCRIPT
rss() { awk "/^Rss:/ { sum += \$2 } END { print int(sum / 1024) }" /proc/$vmm/smaps; }
plugged() { microvm ctl m memory --json | sed -n "s/.*\"virtioMemPluggedBytes\": *\([0-9]*\).*/\1/p"; }
size() { microvm ctl m resize --virtio-mem $1 || return 1; local i; for i in $(seq 300); do [ "$(plugged)" = $2 ] && return 0; sleep 0.2; done; echo "stuck at $(plugged) of $2"; return 1; }
say() { echo $1 >&3; local i; for i in $(seq 300); do grep -q "^done $1" /tmp/console && return 0; sleep 0.2; done; return 1; }
boot() {
    local mode=$1; shift
    : >/tmp/console; rm -f /tmp/in; mkfifo /tmp/in
    microvm run $files --memory 192M --name m "$@" --cmdline "console=ttyS0 quiet microvm.exec=sh /script </dev/console" </tmp/in >/tmp/console 2>/tmp/errors &
    vmm=$!; exec 3>/tmp/in
    for i in $(seq 300); do grep -q ^ready /tmp/console && break; sleep 0.2; done
    size 256M 268435456 && echo "@${mode}_grown yes"
    say first; say fill
    echo "@${mode}_full $(rss)"
    [ $mode = vhost ] && echo "@${mode}_pulled $(wget -qO- http://10.0.0.2/b | md5sum | cut -c1-32)"
    say check
    microvm ctl m memory | sed "s/^/M:/"; microvm explain m | sed "s/^/X:/"
    size 0 0 && echo "@${mode}_shrunk yes"
    say second
    echo "@${mode}_empty $(rss)"
    i=0; while [ $i -lt 10 ]; do size 256M 268435456 && size 0 0 || break; i=$((i+1)); done
    echo "@${mode}_times $i"
    microvm ctl m resize --virtio-mem 1G 2>&1 | sed "s/^/E:/"
    microvm ctl m resize --virtio-mem 1M 2>&1 | sed "s/^/E:/"
    say end; exec 3>&-
    wait $vmm; echo "@${mode}_code $?"
    sed -n "s/^done \([a-z]*\) \([0-9]*\).*/@${mode}_total_\1 \2/p; s/^ready \([0-9]*\).*/@${mode}_total_ready \1/p; s/^sum \([0-9a-f]*\).*/@${mode}_sum \1/p; s/^check \([0-9a-f]*\).*/@${mode}_check \1/p" /tmp/console
    sed s/^/S:/ /tmp/errors; grep ^D: /tmp/console
}
boot alone --virtio-mem size=512M
boot vhost --virtio-mem size=512M,transport=pci --net tap=tap0,vhost
true
LAB
expect_exit 0 "the lab ends well"
for mode in alone vhost; do
    expect_value "$mode: the guest takes 256 MiB" ${mode}_grown yes
    check "$mode: and has them" "MemTotal: $(value_of ${mode}_total_ready), then $(value_of ${mode}_total_first) kB" \
        test "$(( $(value_of ${mode}_total_first) - $(value_of ${mode}_total_ready) ))" -ge 262144
    expect_value "$mode: a file that needs them keeps its bytes" ${mode}_check "$(value_of ${mode}_sum)"
    expect_value "$mode: it gives all of it back" ${mode}_shrunk yes
    expect_value "$mode: and has what it had" ${mode}_total_second "$(value_of ${mode}_total_ready)"
    note "$mode: MiB resident: $(value_of ${mode}_full) full, $(value_of ${mode}_empty) after it gave back"
    expect_at_most "$mode: the host has the pages" ${mode}_empty $(( $(value_of ${mode}_full) - 150 ))
    expect_value "$mode: the guest ends well" ${mode}_code 0
done
expect_value "ten times" alone_times 10
expect_value "ten times beside vhost-net" vhost_times 10
expect_value "vhost sends what lies in plugged memory" vhost_pulled "$(value_of vhost_sum)"
expect_line "ctl memory shows it" '^M:virtioMemPluggedBytes +268435456'
expect_line "more than the device has is refused" '^E:microvm: error: more than the memory device has, 1024 MiB of 512\.'
expect_line "and what is no whole blocks" '^E:microvm: error: no whole blocks of the memory device, 1024 KiB in blocks of 2 MiB\.'
refute_line "the monitor has nothing to complain about" '^S:microvm: (guest )?error'
refute_line "nor has the kernel" '^D:.*(WARNING:|BUG:|Call Trace|virtio_mem.*(fail|invalid))'
