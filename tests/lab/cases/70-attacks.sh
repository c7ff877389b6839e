# What a guest does to make its machine deaf: a stop from outside always wins, and other commands are answered.
# tier: full
# seconds: 60
# covers: vmm/MicroVm/Virtio vmm/MicroVm/Kvm vmm/MicroVm/Machine vmm/MicroVm.Cli
# rows: R2 C3 V2
source "$(dirname "$0")/../case.sh"
need dmsetup:dmsetup
gcc -O1 -static -s -o "$folder/poke" "$lab/poke.c"
gcc -O1 -static -s -o "$folder/streams" "$lab/streams.c"

lab_run --timeout 420 --file "$folder/poke=/poke" --file "$folder/streams=/streams" --file "$(command -v dmsetup)=/usr/sbin/dmsetup" <<'LAB'
modprobe dm-mod; modprobe null_blk nr_devices=1 queue_mode=2 memory_backed=1 gb=1 bs=512 irqmode=0
echo "0 131072 linear /dev/nullb0 0" | dmsetup create --noudevsync slow >/dev/null
centis() { awk '{ print int($1 * 100) }' /proc/uptime; }
# ask NAME WORDS...: how long the machine takes for an answer, in hundredths of a second, and its exit code.
ask() {
    name=$1 start=$(centis)
    shift
    timeout 20 microvm ctl m "$@" >/tmp/$name 2>&1
    echo "@${name}_code $?"
    echo "@${name}_centis $(( $(centis) - start ))"
}
# ended NAME: how long after $start the machine has ended: Z, where the kernel still waits for the disk to close it.
ended() {
    for i in $(seq 300); do
        grep -q "^State:.[Z]" /proc/$vmm/status 2>/dev/null || [ ! -e /proc/$vmm ] && break
        usleep 50000
    done
    echo "@$1_end_centis $(( $(centis) - start ))"
    dmsetup resume slow
    wait $vmm
    echo "@$1_end $?"
    sed "s/^/$1: /" /tmp/errors
}

# A vCPU resets a disk that does not answer: it waits in there, under the device's lock.
put_script <<"END"
echo ready; read x </dev/console
dd if=/dev/vda of=/dev/null bs=4k count=1 skip=1000 iflag=direct 2>/dev/null &
usleep 500000; echo poking; /poke $(( MAP_virtio + 0x70 )) 4 0; echo back
END
cp /poke /tmp/poke; (cd /tmp; echo poke | cpio -o -H newc 2>/dev/null >>initrd)
mkfifo /tmp/in
for how in ctl signal; do
    microvm run $files --name m --memory 256M --disk path=/dev/dm-0 --cmdline "console=ttyS0 quiet iomem=relaxed microvm.exec=sh /script" </tmp/in >/tmp/console 2>/tmp/errors & vmm=$!
    exec 3>/tmp/in
    wait_for ready || cat /tmp/errors
    dmsetup suspend --nolockfs --noflush slow
    echo go >&3
    wait_for poking
    sleep 1
    if [ $how = ctl ]; then
        ask stuck_info info
        ask stuck_list list
        ask stuck_explain explain
        echo "@stuck_busy $(grep -c busy /tmp/stuck_explain)"
        ask stuck_stop stop
    else
        kill -TERM $vmm
    fi
    start=$(centis)
    ended $how
    echo "@${how}_back $(grep -c ^back /tmp/console)"
    exec 3>&-
    vmm=
done

# The guest takes each descriptor that it can get.
put_script <<"END"
/streams connect 5000 & sleep 1000
END
cp /streams /tmp/streams; (cd /tmp; echo streams | cpio -o -H newc 2>/dev/null >>initrd)
/streams listen /tmp/v_5000 & host=$!
(ulimit -n 400; exec microvm run $files --name m --memory 256M --vsock cid=7,socket=/tmp/v --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>/tmp/errors) & vmm=$!
wait_for @streams
grep ^@streams /tmp/console
for command in info list explain stop; do ask vsock_$command $command; done
start=$(centis)
ended vsock
kill $host
LAB
expect_exit 0 "the lab ends well"
for command in info list explain stop; do
    expect_value "$command is answered while a vCPU waits for a disk" "stuck_${command}_code" 0
    expect_at_most "within a second" "stuck_${command}_centis" 100
    expect_value "$command is answered while the guest has all descriptors that it gets" "vsock_${command}_code" 0
    expect_at_most "within a second" "vsock_${command}_centis" 100
done
expect_at_least "explain says which device is busy" stuck_busy 1
expect_value "the stopped machine ends with 125" ctl_end 125
expect_at_most "within seconds, although its vCPU never comes back" ctl_end_centis 900
expect_line "and says why" '^ctl: microvm: error: the machine did not end in 5 seconds'
expect_value "a signal is code 143" signal_end 143
expect_at_most "and needs one only" signal_end_centis 900
expect_line "and the reason is said" '^signal: microvm: error: the machine did not end in 5 seconds'
expect_value "the vCPU did wait" ctl_back 0
expect_value "the machine at its limit ends with 125" vsock_end 125
expect_at_most "at once" vsock_end_centis 300
expect_at_least "the guest had streams" streams 200
expect_at_most "and not all of the limit" streams 360
