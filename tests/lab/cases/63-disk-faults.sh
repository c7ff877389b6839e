# What goes wrong with an image in the host is an I/O error of that request in the guest, a line for the user, and nothing else.
# tier: full
# seconds: 45
# covers: vmm/MicroVm/Virtio/Block
# rows: B4 B5 B8
source "$(dirname "$0")/../case.sh"
need dmsetup:dmsetup strace:strace

lab_run --timeout 420 --memory 4096 --file "$(command -v dmsetup)=/usr/sbin/dmsetup" --file "$(command -v strace)=/usr/bin/strace" <<'LAB'
modprobe dm-mod; modprobe null_blk nr_devices=1 queue_mode=2 memory_backed=1 gb=1 bs=512 irqmode=0
printf "0 65536 linear /dev/nullb0 0\n65536 65536 error\n131072 65536 linear /dev/nullb0 131072\n" | dmsetup create --noudevsync bad >/dev/null || echo "no dmsetup"
put_script <<"SCRIPT"
mode=$(sed "s/.*mode=\([a-z0-9]*\).*/\1/" /proc/cmdline)
read_at() { dd if=/dev/vda of=/dev/null bs=4096 iflag=direct count=1 skip=$1 2>/dev/null && echo yes || echo no; }
# A write is in the cache of the host when it is done: what the disk says of it comes with the flush.
write_at() { dd if=/dev/zero of=/dev/vda bs=4096 oflag=direct conv=fsync count=1 seek=$1 2>/dev/null && echo yes || echo no; }
case $mode in
error*)
    echo "@${mode}_good $(read_at 0) $(write_at 0) $(read_at 20000) $(write_at 20000)"
    echo "@${mode}_bad $(read_at 8192) $(read_at 16383) $(write_at 9000)"
    echo "@${mode}_after $(read_at 8191) $(write_at 8191) $(read_at 16384)"
    dd if=/dev/vdb of=/dev/null bs=1M count=8 2>/dev/null && echo "@${mode}_other yes" ;;
full*)
    # 16 MiB that the file system has not; then what was written before is there
    dd if=/dev/zero bs=1M count=4 2>/dev/null | tr "\000" "\132" >/tmp/x; dd if=/tmp/x of=/dev/vda bs=1M oflag=direct 2>/dev/null; sync
    dd if=/dev/zero of=/dev/vda bs=1M count=20 seek=8 oflag=direct 2>/dev/null && echo "@${mode}_fits yes" || echo "@${mode}_fits no"
    dd if=/dev/vda bs=1M count=4 iflag=direct 2>/dev/null | cmp - /tmp/x && echo "@${mode}_kept yes" ;;
cut*)
    echo "ready"; i=0; until [ $(read_at 4000) = no ] || [ $i = 200 ]; do i=$((i+1)); usleep 100000; done
    echo "@${mode}_gone $(read_at 4000) $(write_at 4000) $(write_at 1024)"
    echo "@${mode}_left $(read_at 0) $(write_at 0) $(write_at 1023)" ;;
often*) dd if=/dev/vda of=/dev/null bs=4096 iflag=direct count=200 2>/dev/null && echo "@${mode}_whole yes" || echo "@${mode}_whole no" ;;
once*) echo "@${mode} $(read_at 0) $(read_at 0) $(read_at 0) $(read_at 0) $(read_at 0) $(read_at 0) $(read_at 0) $(read_at 0)" ;;
esac
SCRIPT
guest() { mode=$1; shift; "$@" --memory 512M --cmdline "console=ttyS0 quiet mode=$mode microvm.exec=sh /script"; echo "@${mode}_code $?"; }
truncate -s 16M /tmp/other
for aio in io_uring threads; do
    a=${aio#io_}
    guest error$a microvm run $files --disk path=/dev/dm-0,aio=$aio --disk path=/tmp/other
    mkdir -p /full; mount -t tmpfs -o size=12m tmpfs /full; truncate -s 64M /full/disk
    guest full$a microvm run $files --disk path=/full/disk,aio=$aio; umount /full
    truncate -s 64M /tmp/cut; : >/tmp/console
    guest cut$a microvm run $files --disk path=/tmp/cut,aio=$aio >/tmp/console 2>&1 &
    i=0; while [ $i -lt 600 ] && ! grep -q ready /tmp/console; do usleep 100000; i=$((i+1)); done
    truncate -s 4M /tmp/cut; wait $!; cat /tmp/console; echo "@cut${a}_size $(stat -c %s /tmp/cut)"
done
trace() { inject=$1; shift; strace -f -qq -o /dev/null -e trace=preadv -e inject=preadv:$inject "$@"; }
guest oftenintr trace error=EINTR:when=1+2 microvm run $files --disk path=/tmp/other,aio=threads
guest onceeio trace error=EIO:when=5..6 microvm run $files --disk path=/tmp/other,aio=threads
guest onceenomem trace error=ENOMEM:when=5..6 microvm run $files --disk path=/tmp/other,aio=threads
# two monitors, one image
: >/tmp/console; microvm run $files --disk path=/tmp/cut --memory 512M --cmdline "console=ttyS0 quiet mode=cut microvm.exec=sh /script" >/tmp/console 2>&1 &
i=0; while [ $i -lt 600 ] && ! grep -q ready /tmp/console; do usleep 100000; i=$((i+1)); done
run --disk path=/tmp/cut; echo "@second $?"; run --disk path=/tmp/cut,ro; echo "@secondro $?"
kill $!; wait $! 2>/dev/null
true
LAB

expect_exit 0 "the lab ends well"
for a in uring threads; do
    expect_value "$a: the guest with a bad disk ends well" error${a}_code 0
    expect_value "$a: where the disk is good it is" error${a}_good 'yes yes yes yes'
    expect_value "$a: EIO is an error of that request" error${a}_bad 'no no no'
    expect_value "$a: and of no other" error${a}_after 'yes yes yes'
    expect_value "$a: another disk notices nothing" error${a}_other yes
    expect_value "$a: a full file system is an error" full${a}_fits no
    expect_value "$a: what was written before is there" full${a}_kept yes
    expect_value "$a: an image that was cut short fails behind its end" cut${a}_gone 'no no no'
    expect_value "$a: and works before it" cut${a}_left 'yes yes yes'
    expect_value "$a: no write makes it longer" cut${a}_size 4194304
done
expect_line "the user hears of EIO" 'microvm: note: disk /dev/dm-0: (reading|writing) failed: Input/output error'
expect_line "the user hears of a full file system" 'microvm: note: disk /full/disk: writing failed: No space left on device'
expect_value "reads that are interrupted go on" oftenintr_whole yes
for e in eio enomem; do expect_value "once $e, then the data" once$e '.*no.* yes yes'; done
expect_value "a second monitor on an image is refused" second 126
expect_value "also for reading" secondro 126
