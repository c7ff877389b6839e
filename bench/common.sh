# What the benchmarks share: programs built once into artifacts/bench, the line about the machine, result files.
# Sourced; sets $bench and $root.
set -euo pipefail
bench=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(realpath "$bench/..")
tools=$root/artifacts/bench
results=$bench/results

say() { echo "$*" >&2; }
die() { say "bench: error: $*"; exit 1; }

# The binary under test: $MICROVM, or what ./build made. Empty if there is none.
microvm=${MICROVM:-$root/artifacts/microvm}
[[ -x $microvm ]] || microvm=

# build_tool NAME [FLAGS...]: bench/Startup/NAME.c as a static program.
build_tool() {
    local name=$1 source=$bench/Startup/$1.c; shift
    command -v gcc >/dev/null || die "no gcc. Install it (apt-get install gcc libc6-dev)."
    mkdir -p "$tools"
    [[ $tools/$name -nt $source ]] || gcc -O2 -D_GNU_SOURCE -Wall -Wextra -static -o "$tools/$name" "$source" "$@"
}

# The machine in one line, with what is known to change start-up times.
environment() {
    local kvm cgroup read_first='s/.*\[\(.*\)\].*/\1/'
    kvm=$(cd /sys/module 2>/dev/null && echo kvm_* | tr ' ' '+') || kvm=
    [[ -e /dev/kvm ]] || kvm='no KVM'
    cgroup=$([[ -f /sys/fs/cgroup/cgroup.controllers ]] && echo v2 || echo v1)
    grep -qs favordynmods /proc/mounts && cgroup+=',favordynmods'
    echo "Linux $(uname -r), $kvm, $(nproc) CPUs ($(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)), cgroup $cgroup," \
        "nx_huge_pages $(cat /sys/module/kvm/parameters/nx_huge_pages 2>/dev/null || echo '?')," \
        "THP $(sed "$read_first" /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null || echo '?')," \
        "load $(cut -d' ' -f1 /proc/loadavg), $(date -u +%F), commit $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo '?')"
}

# Before all others, where that is allowed: what else runs on the machine then hardly shows.
first=()
if chrt -r 1 true 2>/dev/null; then first=(chrt -r 1); fi

# publish NAME: standard input becomes bench/results/NAME.md, whole or not at all, and is shown.
publish() {
    mkdir -p "$results"
    tee "$results/.$1.part"
    mv "$results/.$1.part" "$results/$1.md"
}
