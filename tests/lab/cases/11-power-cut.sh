# A 64 MiB disk is written and synced, the VMM is killed, and a second boot reads what the first one wrote.
# tier: core
# seconds: 30
# covers: vmm/MicroVm/Virtio/Block vmm/MicroVm/Machine
source "$(dirname "$0")/../case.sh"

lab_run --timeout 420 <<'LAB'
put_script <<"SCRIPT"
yes durable | head -c 1048576 >/m
data() { i=0; while [ $i -lt 64 ]; do cat /m; i=$((i+1)); done; }
case $how in
    write) data | dd of=/dev/vda bs=1M conv=fsync 2>/dev/null && echo "@synced yes"; sleep 1000 ;;
    read) [ "$(md5sum </dev/vda)" = "$(data | md5sum)" ] && echo "@same yes" ;;
esac
SCRIPT
truncate -s 64M /tmp/disk
microvm run $files --disk path=/tmp/disk --memory 512M --cmdline "console=ttyS0 quiet how=write microvm.exec=sh /script" >/tmp/console &
vmm=$!
for i in $(seq 120); do grep -q @synced /tmp/console && break; sleep 1; done
kill -KILL $vmm
wait $vmm
echo "@killed $?"
cat /tmp/console
run --disk path=/tmp/disk,ro --memory 512M --cmdline "console=ttyS0 quiet how=read microvm.exec=sh /script"
echo "@code $?"
LAB
expect_exit 0 "the lab ends well"
expect_value "the first guest has synced" synced yes
expect_value "the VMM was killed by SIGKILL" killed 137
expect_value "the second guest reads what the first one wrote" same yes
expect_value "the second guest ends with 0" code 0
