# A host in trouble: a memory cgroup that is too small and one that is just enough (row R4); the monitor stopped by
# SIGSTOP with traffic both ways, the host's clock set forward and back, a processor of the host taken away (row R7).
# tier: full
# seconds: 40
# covers: vmm/MicroVm/Machine vmm/MicroVm/Memory vmm/MicroVm/Events vmm/MicroVm/Virtio/Vsock vmm/MicroVm.Cli
# rows: R4 R7
source "$(dirname "$0")/../case.sh"
need socat:socat

lab_run --timeout 400 --set stopped=40 --file /usr/bin/socat=/usr/bin/socat <<'LAB'
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
# in_cgroup MIB COMMAND...: the command in a cgroup of so much memory, without swap.
in_cgroup() {
    local limit=$1; shift
    mkdir -p /sys/fs/cgroup/case
    echo $(( limit << 20 )) >/sys/fs/cgroup/case/memory.max
    sh -c 'echo $$ >/sys/fs/cgroup/case/cgroup.procs; exec "$@"' sh "$@"
}
# The guest touches all of its memory: files in a RAM disk, until there is no more.
put_script <<"SCRIPT"
mkdir /m; mount -t tmpfs -o size=100% tmpfs /m
echo "touching"; dd if=/dev/zero of=/m/all bs=1M count=48 2>/dev/null; echo "touched $(stat -c %s /m/all)"
SCRIPT
line="console=ttyS0 quiet microvm.exec=sh /script"
# The unpacked kernel that is kept lies in memory here, and is not the monitor's.
microvm run $files --memory 128M --cmdline "$line" >/dev/null
in_cgroup 160 microvm run $files --memory 128M --rng --name just --cmdline "$line" >/tmp/just; echo "@enough $?"
grep -c '^touched 50331648' /tmp/just | sed 's/^/@enough_touched /'
echo "@peak_over $(( ($(cat /sys/fs/cgroup/case/memory.peak 2>/dev/null || echo 0) >> 20) - 128 ))"
in_cgroup 48 microvm run $files --memory 128M --rng --name small --cmdline "$line" >/tmp/small 2>&1; echo "@small $?"
grep -c touched /tmp/small | sed 's/^/@small_touched /'
dmesg | grep -c 'Memory cgroup out of memory: Killed process .*(microvm)' | sed 's/^/@killed_by_cgroup /'
# A name that a killed machine left is taken again.
in_cgroup 160 microvm run $files --memory 128M --rng --name small --cmdline "$line" >/dev/null; echo "@again $?"
for p in /proc/[0-9]*/comm; do cat $p 2>/dev/null; done | grep -c '^microvm' | sed 's/^/@left /'

put_script <<"SCRIPT"
# One stream each way, numbered lines; then what time it is, again and again.
( i=0; while [ $i -lt 4000 ]; do echo "line $i"; i=$((i+1)); [ $((i % 100)) = 0 ] && usleep 500000; done ) | socat -u - VSOCK-CONNECT:2:5000 & out=$!
socat -u VSOCK-LISTEN:5001 - >/tmp/in & into=$!
echo running
( while ! [ -e /tmp/end ]; do echo "time $(date +%s) $(cut -d. -f1 /proc/uptime)"; sleep 1; done ) & clock=$!
wait $out; echo "sent"; wait $into; echo "received $(md5sum </tmp/in | cut -c1-32) $(wc -l </tmp/in)"
touch /tmp/end; wait $clock
# An idle guest's timers fire when they should.
a=$(cut -d. -f1 /proc/uptime); sleep 2; echo "slept $(( $(cut -d. -f1 /proc/uptime) - a ))"
echo "cpus $(nproc)"
dmesg | sed 's/^/D:/'
SCRIPT
add_program /usr/bin/socat
i=0; while [ $i -lt 4000 ]; do echo "line $i"; i=$((i+1)); done >/tmp/lines
echo "@lines $(md5sum </tmp/lines | cut -c1-32) 4000"
socat -u UNIX-LISTEN:/tmp/vm.sock_5000 - >/tmp/received & receiver=$!
microvm run $files --memory 256M --cpus 2 --name stopped --vsock cid=7,socket=/tmp/vm.sock \
    --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>/tmp/errors & vmm=$!
wait_for running
wait_for time 2
( echo "CONNECT 5001"; i=0; while read -r l; do echo "$l"; i=$((i+1)); [ $((i % 100)) = 0 ] && usleep 500000; done </tmp/lines ) |
    socat -t 60 - UNIX-CONNECT:/tmp/vm.sock >/tmp/answer & sender=$!
wait_for time 4
kill -STOP $vmm; sleep $stopped; kill -CONT $vmm
microvm ctl stopped info >/dev/null; echo "@answers $?"
# The host's clock jumps an hour forward, and back.
now=$(date +%s); date -s @$(( now + 3600 )) >/dev/null; sleep 2; date -s @$(( now + 2 )) >/dev/null
# A processor of the host goes, and comes.
echo 0 >/sys/devices/system/cpu/cpu1/online; echo "@offline $(nproc)"; sleep 3; echo 1 >/sys/devices/system/cpu/cpu1/online
wait $receiver; wait $sender
wait $vmm; echo "@code $?"
echo "@received $(md5sum </tmp/received | cut -c1-32) $(wc -l </tmp/received)"
cat /tmp/console; sed 's/^/S:/' /tmp/errors
LAB
expect_exit 0 "the lab ends well"
expect_value "R4: a cgroup with 32 MiB beside the guest's memory is enough" enough 0
expect_value "R4: and the guest had all of it" enough_touched 1
expect_value "R4: one below the guest's memory ends the monitor by SIGKILL" small 137
expect_value "R4: before the guest had its memory" small_touched 0
expect_value "R4: and the kernel says who did it" killed_by_cgroup 1
expect_value "R4: the name can be used again" again 0
expect_value "R4: no process is left" left 0
expect_value "R7: stopped and continued, the control socket answers" answers 0
expect_value "R7: what the guest sent arrived whole" received "$(value_of lines)"
expect_line "R7: and what was sent to it" "^received $(value_of lines)"
expect_value "R7: a processor of the host was gone" offline 1
expect_line "R7: a sleep of two seconds takes two" '^slept [23]$'
expect_line "R7: the guest has its processors" '^cpus 2$'
# The guest's clock is its own: it neither goes back nor jumps with the host's.
jumps=$(sed -n 's/^time \([0-9]*\) \([0-9]*\).*/\1 \2/p' "$out" |
    awk 'NR > 1 && ($1 < wall || $2 < up || $1 - wall > ($2 - up) + 2) { n++ } { wall = $1; up = $2 } END { print n + 0, NR }')
check "R7: the guest's clock never goes back, and wall clock and uptime go together ($jumps)" "$jumps" test "${jumps%% *}" = 0 -a "${jumps##* }" -ge 6
expect_value "R7: the guest ends well" code 0
refute_line "R7: its kernel has nothing to complain about" '^D:.*(BUG:|WARNING:|soft lockup|rcu.*stall|time went backwards|Call Trace)'
refute_line "R7: nor has the monitor" '^S:microvm: error'
