# Installs what is missing on a bare Debian machine. Sourced by build, run, test and the lab.

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: error: $*"; exit 125; }

# One apt at a time, also between two labs that start together.
with_apt() {
    (( EUID == 0 )) || die "root is needed to run: $*. Run it yourself, or start this as root."
    mkdir -p "$(dirname "$apt_lock")"
    DEBIAN_FRONTEND=noninteractive flock "$apt_lock" "$@" </dev/null
}
apt_lock=${XDG_CACHE_HOME:-$HOME/.cache}/microvm-lab/apt.lock

# need WHAT:PACKAGE...   WHAT is a command, or the path of a file that the package brings.
need() {
    local item what packages=()
    for item; do
        what=${item%%:*}
        [[ $what == /* && -e $what ]] || command -v "$what" >/dev/null || packages+=("${item#*:}")
    done
    (( ${#packages[@]} == 0 )) && return
    (( EUID == 0 )) || die "root is needed to install: ${packages[*]}. Install them yourself, or start this as root."
    say "${0##*/}: installing ${packages[*]}"
    apt_install "${packages[@]}" && return
    # The index is missing, or names versions that the mirror no longer has.
    with_apt apt-get -qq update || die "apt-get update failed. Look at /etc/apt/sources.list*."
    apt_install "${packages[@]}" || { say "$apt_said"; die "apt-get install ${packages[*]} failed. Try it by hand."; }
}

# What apt says is shown only if it fails for good.
apt_install() { apt_said=$(with_apt apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$@" 2>&1); }

apt_known() { apt-cache show "$@" >/dev/null 2>&1; }
