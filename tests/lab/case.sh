# What a lab case is written with. A case is a bash script in cases/ that sources this, starts a lab or more,
# and states what must be true of the last one; each statement is one passed, failed or skipped line.
# In the lab, a line `@name value` hands a value to the case.
set -uo pipefail

lab=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
folder=$(mktemp -d "${TMPDIR:-/tmp}/microvm-case.XXXXXX")
source "$lab/need.sh"
trap 'rm -rf "$folder"' EXIT
out=$folder/out

# The start of a lab script that boots guests.
#   run ARGUMENTS OF microvm run...      with the guest's kernel and initramfs
#   microvm run $files ARGUMENTS... &    so that $! is microvm and not a shell
#   put_script <SCRIPT                   from now on `microvm.exec=sh /script` runs it. The kernel takes each word of
#                                        its command line for an argument of init, and panics at the 33rd.
#   add_program PATHS...                 after put_script: the guest gets these programs of the lab, and the lab's libraries
vm='files="--kernel /lab/vmlinuz --initrd /lab/initrd"
run() { microvm run $files "$@"; }
put_script() {
    cd /tmp; cat >script; cp /lab/initrd initrd; truncate -s %4 initrd 2>/dev/null ||
        dd if=/dev/zero bs=1 count=$(( -$(stat -c %s initrd) & 3 )) 2>/dev/null >>initrd
    echo script | cpio -o -H newc 2>/dev/null >>initrd
    files="--kernel /lab/vmlinuz --initrd /tmp/initrd"
}
add_program() {
    (cd /; { echo usr; find lib/x86_64-linux-gnu lib64 usr/lib -type d; find lib/x86_64-linux-gnu lib64 usr/lib -name "*.so*"; for f; do echo ${f#/}; done; } |
        cpio -o -H newc -L 2>/dev/null >>/tmp/initrd)
}
'

# lab_run ARGUMENTS... -- COMMAND: what the lab says goes to $out and to standard error, its exit code to $code.
# A lab that did not come up, of which nothing has run, is tried once more (docs/decisions/0065); whatever a guest does is as it is.
lab_run() {
    local try
    for try in 1 2; do
        code=0
        "$lab/lab" "$@" >"$out" 2>&1 </dev/null || code=$?
        cat "$out" >&2
        (( code == 125 && try == 1 )) && grep -q "the lab's kernel did not come up" "$out" || return 0
        note "the lab did not come up, and was tried once more: see the log"
    done
}

passed() { echo "passed: $1"; }
fail() { echo "FAILED: $1: $2"; }
note() { echo "measured: $1"; }
skip() { echo "skipped: $1: $2"; }
check() { # check NAME WHY-NOT CONDITION...
    local name=$1 why=$2; shift 2
    if "$@"; then passed "$name"; else fail "$name" "$why"; fi
}

expect_exit() { check "$2" "exit code $code, not $1" test "$code" -eq "$1"; }

# expect_line NAME REGEX, refute_line NAME REGEX: some line, or no line, of the lab's output matches.
expect_line() { check "$1" "no line matches $2" grep -qE -- "$2" "$out"; }
refute_line() {
    local line
    if line=$(grep -m1 -E -- "$2" "$out"); then fail "$1" "found: $line"; else passed "$1"; fi
}

# expect_value NAME KEY REGEX: the whole value of `@KEY` matches.
expect_value() { local value; value=$(value_of "$2"); check "$1" "@$2 is '$value', not $3" grep -qxE -- "$3" <<<"$value"; }

# expect_at_most NAME KEY LIMIT, expect_at_least: numbers; what was measured is printed either way.
expect_at_most() { expect_number "$1 ($2=$(value_of "$2"), at most $3)" "$(value_of "$2")" -le "$3"; }
expect_at_least() { expect_number "$1 ($2=$(value_of "$2"), at least $3)" "$(value_of "$2")" -ge "$3"; }
expect_number() {
    if [[ $2 =~ ^-?[0-9]+$ ]]; then check "$1" 'out of bounds' test "$2" "$3" "$4"; else fail "$1" 'nothing was measured'; fi
}

value_of() { sed -n "s/^@$1 //p" "$out" | tail -n 1; }
