# The tap is deleted while the guest uses it: the guest sees its link go, nothing spins, the machine goes on.
# tier: full
# seconds: 15
# covers: vmm/MicroVm/Virtio/Net
# rows: N3
source "$(dirname "$0")/../case.sh"

lab_run --timeout 300 <<'LAB'
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up
ping -c 2 10.0.0.1 >/dev/null && echo "@${mode}_before yes"
nc 10.0.0.1 9001 </dev/null
i=0; while [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && [ $i -lt 30 ]; do i=$((i+1)); ping -c 1 -W 1 10.0.0.1 >/dev/null; sleep 1; done
echo "@${mode}_carrier $(cat /sys/class/net/eth0/carrier)"
sleep 2
END
for mode in tap vhost; do
    tunctl -t tap0 >/dev/null; ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
    nc -l -p 9001 -e true & ready=$!
    microvm run $files --memory 256M --net tap=tap0$([ $mode = vhost ] && echo ,vhost) --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script" & machine=$!
    wait $ready # microvm that failed would leave it waiting: the time-out of the lab ends that
    ip link delete tap0
    wait $machine
    echo "@${mode}_code $?"
done
microvm run $files --net tap=tap9; echo "@missing $?"
LAB
for mode in tap vhost; do
    expect_value "$mode: the network works before the tap is deleted" ${mode}_before yes
    # Under vhost nobody hears of it: docs/decisions/0050.
    [[ $mode == vhost ]] || expect_value "$mode: the guest sees that its link is down" ${mode}_carrier 0
    expect_value "$mode: the machine goes on" ${mode}_code 0
done
expect_value "a tap that does not exist is the host's fault" missing 125
expect_line "and the message says how to make one" '^microvm: error: no such tap, tap=tap9. Make it: ip tuntap add tap9 mode tap'
