# What a lab case is written with. A case is a bash script in cases/ that sources this, starts a lab or more,
# and states what must be true of the last one; each statement is one passed, failed or skipped line.
# In the lab, a line `@name value` hands a value to the case.
# The first lines of a case are comments: what it shows, and then
#   # tier: core | full                 core: part of every ./test
#   # covers: FOLDER...                 a change below one of these runs it in ./test for REV and in CI
#   # rows: ID...                       rows of docs/catalogue.md that it tests
set -uo pipefail

lab=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
folder=$(mktemp -d "${TMPDIR:-/tmp}/microvm-case.XXXXXX")
source "$lab/need.sh"
trap 'rm -rf "$folder"' EXIT
out=$folder/out

# lab_run OPTIONS OF lab... <<'LAB': the text on standard input runs in the lab, after prelude.sh, the machine's map and
# what shared gave; or, after --, a command. What the lab says goes to $out and to standard error, its exit code to $code.
# A lab that did not come up, of which nothing has run, is tried once more (docs/decisions/0065); whatever a guest does is as it is.
lab_run() {
    local try words=() values
    values=$(machine_map)
    while (( $# )) && [[ $1 != -- ]]; do
        case $1 in
            --with-qemu|--verbose) words+=("$1"); shift; continue ;;
            --set) values+=$'\n'"${2%%=*}='${2#*=}'" ;;
            *) words+=("$1" "$2") ;;
        esac
        shift 2
    done
    (( $# )) || set -- -- "$values"$'\n'"$(cat "$lab/prelude.sh" "$folder"/shared 2>/dev/null; cat)"
    words+=("$@")
    for try in 1 2; do
        code=0
        "$lab/lab" "${words[@]}" >"$out" 2>&1 </dev/null || code=$?
        cat "$out" >&2
        (( code == 125 && try == 1 )) && grep -q "the lab's kernel did not come up" "$out" || return 0
        note "the lab did not come up, and was tried once more: see the log"
    done
}

# shared <<'LAB': functions and variables that all later labs of this case begin with.
shared() { cat >>"$folder/shared"; }

# machine_map: the addresses of devices.def/machine.def as variables of a shell: $MAP_SlotUnits.
machine_map() {
    awk '{ gsub(/_/, "", $3); gsub(/_/, "", $5); sub(/\[.*/, "", $2) }
        $1 == "range" { print "MAP_" $2 "=" $3 }
        $1 == "place" { print "MAP_" $2 "=" $5 }' "$lab/../../devices.def/machine.def"
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
