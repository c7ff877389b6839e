# A stock guest on a tap, its frames moved by this process and by vhost-net: pings, files both ways with their sums, no exit for an interrupt.
# tier: core
# seconds: 35
# covers: vmm/MicroVm/Virtio/Net vmm/MicroVm/Virtio/Vhost vmm/MicroVm/Virtio/Queue
source "$(dirname "$0")/../case.sh"

lab_run --timeout 600 <<'LAB'
exits=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
statistics=/sys/class/net/tap0/statistics
tunctl -t tap0 >/dev/null
ifconfig tap0 10.0.0.1 netmask 255.255.255.0 up
mkdir /srv
head -c 16777216 /dev/urandom >/srv/down
echo "@down_sum $(md5sum </srv/down)"
httpd -p 10.0.0.1:80 -h /srv
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up
echo "@${mode}_mac $(cat /sys/class/net/eth0/address)"
ping -c 2 10.0.0.1 >/dev/null && echo "@${mode}_ping_out yes"
if [ $mode != idle ]; then
    nc 10.0.0.1 9001 </dev/null # the host may ping now, and says when it is done
    wget -qO- http://10.0.0.1/down | md5sum | sed "s/^/@${mode}_down /"
    head -c 8388608 /dev/urandom >/tmp/up
    md5sum </tmp/up | sed "s/^/@${mode}_up_sum /"
    nc 10.0.0.1 9000 </tmp/up
    ping -q -c 50 -i 0.05 10.0.0.1 | sed -n "s/^round-trip/@${mode}_round_trip/p"
    sed -n "/virtio/s/^/$mode:/p" /proc/interrupts
fi
dmesg | sed s/^/D:/
END
# boot MODE FLAGS: counts exits and frames.
boot() {
    local mode=$1 flags=$2 before
    nc -l -p 9000 -e sh -c "cat >/tmp/up" & receiver=$!
    : >/tmp/ping
    nc -l -p 9001 -e sh -c "ping -q -c 3 10.0.0.2 >/tmp/ping" & pinger=$!
    before=$(( $(cat $statistics/rx_packets) + $(cat $statistics/tx_packets) ))
    echo hist:keys=reason >$exits/trigger
    run --memory 256M --net tap=tap0,mac=52:54:00:aa:bb:cc$flags --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script"
    echo "@${mode}_code $?"
    sed -n "s/.*reason: *\([0-9]*\) .*hitcount: *\([0-9]*\).*/\1 \2/p" $exits/hist >/tmp/hist
    echo "!hist:keys=reason" >$exits/trigger
    awk -v mode=$mode "{ sum += \$2; if (\$1 == 6) mmio = \$2 } END { print \"@\" mode \"_exits\", sum + 0; print \"@\" mode \"_mmio\", mmio + 0 }" /tmp/hist
    echo "@${mode}_frames $(( $(cat $statistics/rx_packets) + $(cat $statistics/tx_packets) - before ))"
    echo "@${mode}_up $(md5sum </tmp/up)"
    sed s/^/P:/ /tmp/ping; grep -q " 0% packet loss" /tmp/ping && echo "@${mode}_ping_in yes"
    kill $receiver $pinger 2>/dev/null
    wait $receiver $pinger 2>/dev/null
}
boot idle ""
boot tap ""
boot vhost ,vhost
boot pcitap ,transport=pci
boot pcivhost ,vhost,transport=pci
LAB
expect_exit 0 "the lab ends well"
for mode in tap vhost pcitap pcivhost; do
    expect_value "$mode: the guest ends with 0" ${mode}_code 0
    expect_value "$mode: the guest has the address that was given" ${mode}_mac 52:54:00:aa:bb:cc
    expect_value "$mode: the guest pings the host" ${mode}_ping_out yes
    expect_value "$mode: the host pings the guest" ${mode}_ping_in yes
    expect_value "$mode: 16 MiB pulled are what the server has" ${mode}_down "$(value_of down_sum)"
    expect_value "$mode: 8 MiB pushed are what the guest has" ${mode}_up "$(value_of ${mode}_up_sum)"
    expect_at_least "$mode: frames went over the tap" ${mode}_frames 100
    [[ $mode != pci* ]] || continue # finding its function costs other exits than the idle boot has
    [[ $(value_of ${mode}_mmio) && $(value_of idle_mmio) ]] &&
        echo "@${mode}_more $(( $(value_of ${mode}_mmio) - $(value_of idle_mmio) ))" >>"$out"
    expect_at_most "$mode: MMIO exits of the whole traffic, beyond those of an idle interface" ${mode}_more $(( $(value_of ${mode}_frames) / 20 ))
    note "$mode: $(value_of ${mode}_frames) frames, $(value_of ${mode}_more) exits, round trip $(value_of ${mode}_round_trip)"
done
refute_line "the kernel has nothing to complain about" '^D:.*(WARNING:|BUG:|virtio_net.*(error|timeout)|NETDEV WATCHDOG|Call Trace)'
