# Named ports of the virtio console, both ways, over mmio and PCI; the console on a socket; and a terminal whose size the guest follows.
# tier: full
# seconds: 45
# covers: vmm/MicroVm/Virtio/Console vmm/MicroVm/Events
source "$(dirname "$0")/../case.sh"
need socat:socat

lab_run --timeout 600 --file /usr/bin/socat=/usr/bin/socat <<'LAB'
head -c 100000 /dev/urandom >/tmp/host
echo "@host_sum $(md5sum </tmp/host)"
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
port() { for p in /sys/class/virtio-ports/*; do [ "$(cat $p/name 2>/dev/null)" = $1 ] && echo /dev/${p##*/}; done; }
until [ "$(port agent)" ] && [ "$(port log)" ]; do usleep 10000; done
agent=$(port agent)
head -c 90000 /dev/urandom >/tmp/guest
echo "@${mode}_guest_sum $(md5sum </tmp/guest)"
exec 5<>$agent
cat /tmp/guest >&5
head -c 100000 <&5 | md5sum | sed "s/^/@${mode}_down /"
exec 5>&-
echo "kept in a file" >$(port log)
dmesg | grep -i "virtio.*\(error\|fail\)" | sed s/^/D:/
END
boot() {
    local mode=$1; shift
    rm -f /tmp/up /tmp/log
    microvm run $files --memory 256M "$@" --port name=agent,socket=/tmp/a --port name=log,file=/tmp/log --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" & machine=$!
    until [ -S /tmp/a ]; do usleep 10000; done
    stat -c "@${mode}_mode %a" /tmp/a
    # Its input stays open, so that only the end of the machine ends it.
    mkfifo /tmp/in; sleep 300 >/tmp/in & keeper=$!
    cat /tmp/host >/tmp/in &
    socat -t 1 - UNIX-CONNECT:/tmp/a </tmp/in >/tmp/up
    wait $machine
    echo "@${mode}_code $?"
    kill $keeper; rm /tmp/in
    echo "@${mode}_up $(md5sum </tmp/up)"
    echo "@${mode}_log $(cat /tmp/log)"
    [ -e /tmp/a ] || echo "@${mode}_removed yes"
}
boot mmio
boot pci --console-transport pci

put_script <<"END"
waits() { i=0; until [ "$(stty size </dev/hvc0)" = "$1" ] || [ $((i += 1)) -gt 500 ]; do usleep 20000; done; stty size </dev/hvc0; }
echo "S:first $(waits "33 101")"
echo "S:ready"
echo "S:second $(waits "44 99")"
END
# size ARGUMENTS: the console is a terminal of socat, whose size changes while the guest runs
size() {
    name=$1; shift
    mkfifo /tmp/in; sleep 300 >/tmp/in & keeper=$!
    socat -t 1 EXEC:"sh /tmp/terminal",pty,setsid,ctty,raw,echo=0 - </tmp/in >/tmp/said & terminal=$!
    cat >/tmp/terminal <<END
stty rows 33 cols 101; tty >/tmp/tty
exec microvm run $files --memory 256M --console stdio $@ --cmdline "console=hvc0 quiet microvm.exec=sh /script"
END
    i=0; until grep -q S:ready /tmp/said || [ $((i += 1)) -gt 3000 ]; do usleep 20000; done
    stty -F $(cat /tmp/tty) rows 44 cols 99
    wait $terminal; kill $keeper
    tr -d "\r" </tmp/said | sed -n "s/^S:\([a-z]*\) \([0-9 ]*\)$/@${name}_\1 \2/p"
    rm -f /tmp/in /tmp/said /tmp/tty
}
size single
size several --port name=x,file=/tmp/x --console-transport pci
LAB
expect_exit 0 "the lab ends well"
for mode in mmio pci; do
    expect_value "$mode: the guest ends by itself" ${mode}_code 0
    expect_value "$mode: what the guest wrote to its port arrived" ${mode}_up "$(value_of ${mode}_guest_sum)"
    expect_value "$mode: what the host wrote arrived in the guest" ${mode}_down "$(value_of host_sum)"
    expect_value "$mode: a port that is a file" ${mode}_log 'kept in a file'
    expect_value "$mode: the socket is its owner's alone" ${mode}_mode 600
    expect_value "$mode: and gone afterwards" ${mode}_removed yes
done
refute_line "the guest's driver is content" '^D:'
expect_value "a guest reads the terminal's size" single_first '33 101'
expect_value "and follows its change" single_second '44 99'
expect_value "with named ports too" several_first '33 101'
expect_value "and follows its change" several_second '44 99'
