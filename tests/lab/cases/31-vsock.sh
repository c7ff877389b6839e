# Sockets between guest and host, both ways, through sockets in the file system and through vhost-vsock: bytes arrive, ends are seen one by one.
# tier: full
# seconds: 20
# covers: vmm/MicroVm/Virtio/Vsock vmm/MicroVm/Virtio/Vhost
source "$(dirname "$0")/../case.sh"
need socat:socat

lab_run --timeout 600 --file /usr/bin/socat=/usr/bin/socat <<'LAB'
head -c 4194304 /dev/urandom >/tmp/host
echo "@host_sum $(md5sum </tmp/host)"
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
head -c 3000000 /dev/urandom >/tmp/guest
echo "@${mode}_guest_sum $(md5sum </tmp/guest)"
socat -u FILE:/tmp/guest VSOCK-LISTEN:5001 & pull=$!
socat -t 60 VSOCK-LISTEN:5002 EXEC:cat & echo=$!
socat -u FILE:/tmp/guest VSOCK-CONNECT:2:5000; echo "@${mode}_connect $?"
socat -u VSOCK-CONNECT:2:5999 - >/dev/null 2>&1 && echo "@${mode}_refused no" || echo "@${mode}_refused yes"
wait $pull; wait $echo
dmesg | sed s/^/D:/
END
add_program /usr/bin/socat
# boot MODE, with `listen` and `to` as the host does it in that mode
boot() {
    local mode=$1 flags=$2
    rm -f /tmp/pushed
    listen & receiver=$!
    microvm run $files --memory 256M --vsock cid=7,$flags --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" >/tmp/out 2>&1 & machine=$!
    wait $receiver
    echo "@${mode}_pushed $(md5sum </tmp/pushed)"
    to 5001 </dev/null | md5sum | sed "s/^/@${mode}_pulled /"
    to 5002 </tmp/host | md5sum | sed "s/^/@${mode}_echoed /"
    wait $machine
    echo "@${mode}_code $?"
    # Not while it runs: its lines and those of this script would mix.
    cat /tmp/out
}
listen() { socat -u UNIX-LISTEN:/tmp/v_5000 CREATE:/tmp/pushed; }
to() { { echo CONNECT $1; cat; } | socat -t 60 - UNIX-CONNECT:/tmp/v | { IFS= read -r ok; cat; }; }
boot unix socket=/tmp/v
[ -e /tmp/v ] || echo "@removed yes"
listen() { socat -u VSOCK-LISTEN:5000 CREATE:/tmp/pushed; }
to() { socat -t 60 - VSOCK-CONNECT:7:$1; }
boot vhost vhost
LAB
expect_exit 0 "the lab ends well"
for mode in unix vhost; do
    expect_value "$mode: the guest ends with 0" ${mode}_code 0
    expect_value "$mode: the guest connects to the host" ${mode}_connect 0
    expect_value "$mode: 3 MB from the guest are what it sent" ${mode}_pushed "$(value_of ${mode}_guest_sum)"
    expect_value "$mode: 3 MB that the host asks for are what the guest has" ${mode}_pulled "$(value_of ${mode}_guest_sum)"
    expect_value "$mode: 4 MiB come back whole after the host ended its stream" ${mode}_echoed "$(value_of host_sum)"
    expect_value "$mode: a port where nobody listens refuses" ${mode}_refused yes
done
expect_value "the socket is removed at the end" removed yes
refute_line "the kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|vsock.*(error|timeout)|Call Trace)'
