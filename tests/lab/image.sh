# Kernels and initramfs layers of the lab, each built once and kept under a hash of what went in.
# Sourced by `lab`, which sets $here and $modules (extra module names).

cache=${XDG_CACHE_HOME:-$HOME/.cache}/microvm-lab
rebuilt=0

hash_of() { sha256sum | cut -c1-16; }

# build_once NAME FUNCTION ARGS...: makes $cache/NAME by calling FUNCTION with a fresh folder to fill, unless it is there.
# Two labs may want the same one: the second waits. A build that dies leaves nothing under NAME.
build_once() {
    local name=$1 target=$cache/$1; shift
    if [[ ! -d $target ]]; then
        mkdir -p "$(dirname "$target")" "$cache/locks"
        (
            flock 9
            [[ -d $target ]] && exit
            work=$(mktemp -d "$cache/building.XXXXXX")
            trap 'rm -rf "$work"' EXIT
            say "lab: building ${name/%-????????????????/}"
            set -e
            "$@" "$work"
            chmod 755 "$work"
            mv -T "$work" "$target"
        ) 9>"$cache/locks/${name//\//_}" || die "could not build $name."
        rebuilt=1
        find "$cache" -mindepth 1 -maxdepth 2 -name '*-*' -type d -mtime +30 -exec rm -rf {} + 2>/dev/null || true
    fi
    touch -c "$target"
    built=$target
}

# ---- kernels ---------------------------------------------------------------------------------------------------------

# find_kernel PKG_OR_FILE: sets kernel_image, kernel_modules (the folder named like the version; may be empty), kernel_id.
find_kernel() {
    local folder
    if [[ -f $1 && $1 == *.deb ]]; then
        build_once "kernels/$(basename "$1" .deb)-$(stat -Lc '%s %Y' "$1" | hash_of)" unpack_kernel "$1"
        kernel_id=$(basename "$built")
    elif [[ -f $1 ]]; then
        kernel_image=$(realpath "$1") kernel_modules=
        folder=$(dirname "$kernel_image")
        for kernel_modules in "$folder"/lib/modules/*/ "$folder"/../lib/modules/"${kernel_image##*vmlinu[xz]-}"/ "$folder"/modules/*/ ''; do
            [[ -d $kernel_modules ]] && break
        done
        kernel_modules=${kernel_modules%/}
        kernel_id="$(sha256sum <"$kernel_image") $(stat -c '%n %Y' ${kernel_modules:+"$kernel_modules"} "$kernel_image")"
        return
    else
        [[ $1 != */* ]] || die "no kernel at $1. Name a file, or a Debian package such as linux-image-amd64."
        resolve_package "$1"
        if [[ ! -d $cache/kernels/${resolved/=/-} ]]; then
            # The mirror keeps the newest version only: an old index names files that are gone.
            with_apt apt-get -qq update || true
            resolve_package "$1"
        fi
        build_once "kernels/${resolved/=/-}" download_kernel "$resolved"
        kernel_id=$resolved
    fi
    kernel_image=$built/vmlinuz
    kernel_modules=$(echo "$built"/lib/modules/*)
}

# resolve_package NAME[=VERSION]: follows a meta package to the real one; sets resolved=NAME=VERSION.
# Remembered until the package lists change, because apt takes half a second a question.
resolve_package() {
    local name=$1 memo=$cache/resolved/$1 record next
    if [[ -s $memo && ! /var/lib/apt/lists -nt $memo ]]; then
        resolved=$(<"$memo")
        return
    fi
    [[ $name == linux-image-* ]] || name=linux-image-$name
    apt_known "$name" || with_apt apt-get -qq update || true
    while :; do
        record=$(apt-cache show "$name" 2>/dev/null | sed '/^$/q') || true
        [[ -n $record ]] || die "no Debian package $name. See: apt-cache search --names-only '^linux-image'."
        next=$(sed -n 's/^Depends:.*\b\(linux-image-[0-9][^ ,]*\)\( (= \([^)]*\))\)\?.*/\1=\3/p' <<<"$record")
        [[ -n $next ]] || break
        name=${next%=}
    done
    resolved=${name%%=*}=$(sed -n 's/^Version: //p' <<<"$record")
    mkdir -p "$cache/resolved"
    echo "$resolved" >"$memo.$$" && mv "$memo.$$" "$memo"
}

download_kernel() {
    local package=$1 folder=$2
    (cd "$folder" && with_apt apt-get -qq -o APT::Sandbox::User=root download "$package" >/dev/null)
    unpack_kernel "$folder"/*.deb "$folder"
    rm "$folder"/*.deb
}

unpack_kernel() {
    local folder=$2 version
    dpkg -x "$1" "$folder/all"
    mv "$folder"/all/boot/vmlinuz-* "$folder/vmlinuz"
    mkdir -p "$folder/lib"
    mv "$folder"/all/lib/modules "$folder/lib/" 2>/dev/null || mv "$folder"/all/usr/lib/modules "$folder/lib/"
    rm -r "$folder/all"
    version=$(ls "$folder/lib/modules")
    depmod -b "$folder" "$version"
}

# copy_modules WHERE FROM ROOT: the modules that modules.list has for WHERE (lab or guest), into ROOT/lib/modules.
copy_modules() {
    local where=$1 from=$2 root=$3 version target
    [[ -n $from ]] || return 0
    version=$(basename "$from") target=$root/lib/modules/$(basename "$from")
    mkdir -p "$target"
    [[ -f $from/modules.dep ]] || die "$from has no modules.dep. Run: depmod -b FOLDER $version."
    awk -v where="$where" -v extra="$modules" '
        FNR == NR { if ($1 == "both" || $1 == where) patterns[++count] = "^kernel/" $2; next }
        FNR == 1 { split(extra, names, " "); for (i in names) { gsub(/[-_]/, "[-_]", names[i]); patterns[++count] = "/" names[i] "\\.ko" } }
        { path = $1; sub(/:$/, "", path)
          for (i = 1; i <= count; i++) if (path ~ patterns[i]) { print path; for (f = 2; f <= NF; f++) print $f; break } }
    ' "$here/modules.list" "$from/modules.dep" | sort -u |
        (cd "$from" && xargs cp --parents -Lt "$target")
    cp "$from"/modules.{builtin,builtin.modinfo,order} "$target" 2>/dev/null || true
    find "$target" -name '*.ko.xz' -exec xz -d {} + -o -name '*.ko.zst' -exec zstd -dq --rm {} +
    depmod -b "$root" "$version"
    rm -f "$target"/modules.{*.bin,builtin.modinfo}
}

# ---- layers ----------------------------------------------------------------------------------------------------------

# pack FOLDER [NAME]: an uncompressed cpio archive of what is in FOLDER on standard output.
pack() { (cd "$1" && find "./${2:-}" -mindepth "$(( $# < 2 ))" | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible); }

# pad FILE: the kernel wants the next archive at a multiple of four.
pad() { truncate -s %4 "$1"; }

# put_base ROOT: busybox under all its names, the exit port program, empty folders.
put_base() {
    local root=$1 busybox applet
    busybox=$(command -v busybox)
    mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,usr/lib,lib,lib64,etc,proc,sys,dev,root,run,mnt,lab,var/lib,var/log}
    mkdir -m 1777 "$root/tmp" "$root/var/tmp"
    cp -L "$busybox" "$root/bin/busybox"
    for applet in $("$busybox" --list | grep -vx busybox); do ln -s busybox "$root/bin/$applet"; done
    ln -s ../bin/busybox "$root/sbin/modprobe"
    ln -s ../../bin/busybox "$root/usr/bin/env"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic -no-pie -s \
        -Wl,--build-id=none -o "$root/bin/exitport" "$here/exitport.c"
}

build_lab_layer() {
    local folder=$2 root=$2/root
    put_base "$root"
    install -m 755 "$here/lab-init" "$root/init"
    copy_modules lab "$1" "$root"
    pack "$root" | zstd -q -T0 -1 >"$folder/layer"
    pad "$folder/layer"
    rm -r "$root"
}

build_guest_layer() {
    local image=$1 from=$2 folder=$3 root=$3/root
    put_base "$root"
    install -m 755 "$here/guest-init" "$root/init"
    copy_modules guest "$from" "$root"
    mkdir "$folder/lab"
    pack "$root" | zstd -q -T0 -9 >"$folder/lab/initrd"
    rm -r "$root"
    cp "$image" "$folder/lab/vmlinuz"
    chmod 644 "$folder/lab/vmlinuz"
    pack "$folder" lab >"$folder/layer"
    pad "$folder/layer"
}

# QEMU itself, for comparisons inside the lab: `-M microvm` and q35.
build_qemu_layer() {
    local folder=$1 file
    put_file "$(command -v qemu-system-x86_64)" /usr/bin/qemu-system-x86_64 "$folder/root"
    mkdir -p "$folder/root/usr/share/qemu"
    for file in bios-microvm.bin qboot.rom pvh.bin linuxboot_dma.bin bios-256k.bin kvmvapic.bin; do
        cp -L "$(find -L /usr/share/qemu /usr/share/seabios -name "$file" -print -quit 2>/dev/null)" "$folder/root/usr/share/qemu/"
    done
    pack "$folder/root" | zstd -q -T0 -1 >"$folder/layer"
    pad "$folder/layer"
    rm -r "$folder/root"
}

# put_file HOSTPATH PATH ROOT: a file or a folder; what is executable gets the libraries that ldd names.
# (ldd fails for a static program, which is fine: it needs none.)
put_file() {
    local from=$1 to=$3/${2#/} root=$3 file library
    [[ -e $from ]] || die "no file $from. --file wants HOSTPATH=PATH."
    mkdir -p "$(dirname "$to")"
    if [[ -d $from ]]; then
        mkdir -p "$to"
        cp -a "$from/." "$to/"
    else
        cp -L --preserve=mode,timestamps "$from" "$to"
    fi
    find -L "$from" -type f \( -perm -u+x -o -name '*.so*' \) | while read -r file; do
        is_elf "$file" || continue
        { ldd "$file" 2>/dev/null || true; } | sed -n 's/.*=> \(\/[^ ]*\) (0x.*/\1/p; s/^[ \t]*\(\/[^ ]*\) (0x.*/\1/p'
    done | sort -u | while read -r library; do
        [[ -e $root$library ]] || install -D -m 755 "$library" "$root$library"
    done
}

is_elf() { [[ $(head -c 4 "$1" | tr -d '\0') == $'\x7fELF' ]]; }
