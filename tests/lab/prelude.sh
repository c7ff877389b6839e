# The start of each lab script of a case, see lab_run in case.sh. Runs in the lab, by busybox's sh.
#   run ARGUMENTS OF microvm run...      with the guest's kernel and initramfs
#   microvm run $files ARGUMENTS... &    so that $! is microvm and not a shell
#   wait_for REGEX [N]                   until N (1) lines of /tmp/console begin with it, while $vmm runs, for a minute
#   put_script <SCRIPT                   from now on `microvm.exec=sh /script` runs it. The kernel takes each word of
#                                        its command line for an argument of init, and panics at the 33rd.
#   add_program PATHS...                 after put_script: the guest gets these programs of the lab, and the lab's libraries
files="--kernel /lab/vmlinuz --initrd /lab/initrd"
run() { microvm run $files "$@"; }

put_script() {
    cd /tmp
    { set | grep ^MAP_; cat; } >script
    cp /lab/initrd initrd
    truncate -s %4 initrd 2>/dev/null ||
        dd if=/dev/zero bs=1 count=$(( -$(stat -c %s initrd) & 3 )) 2>/dev/null >>initrd
    echo script | cpio -o -H newc 2>/dev/null >>initrd
    files="--kernel /lab/vmlinuz --initrd /tmp/initrd"
}

add_program() {
    (
        cd /
        {
            echo usr
            find lib/x86_64-linux-gnu lib64 usr/lib -type d
            find lib/x86_64-linux-gnu lib64 usr/lib -name "*.so*"
            for f; do echo ${f#/}; done
        } | cpio -o -H newc -L 2>/dev/null >>/tmp/initrd
    )
}

wait_for() {
    local i
    for i in $(seq 600); do
        [ "$(grep -cE "^$1" /tmp/console)" -ge "${2:-1}" ] && return
        [ -z "$vmm" ] || kill -0 $vmm 2>/dev/null || break
        usleep 100000
    done
    echo "the guest never said $1"
    tail -n 20 /tmp/console
}
