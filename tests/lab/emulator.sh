# The emulator that the lab runs on: Debian's QEMU, built from its source package with emulator.patch, because without it
# guests die now and then (docs/decisions/0065). Sourced by `lab`, after image.sh.

# find_emulator: sets emulator to a program. $LAB_EMULATOR is taken as it is.
find_emulator() {
    emulator=${LAB_EMULATOR:-}
    [[ -z $emulator ]] || return 0
    local packaged
    packaged=$(command -v qemu-system-x86_64)
    build_once "emulator-$( { stat -Lc '%s %Y' "$packaged"; cat "$here/emulator.patch" "$here/emulator.sh"; } | hash_of)" build_emulator
    emulator=$built/qemu-system-x86_64
    [[ -x $emulator ]] && return
    say "lab: guests may die for no reason of theirs: the emulator is Debian's as it is, $(<"$built/why-not") Remove $built to try again."
    emulator=$packaged
}

# build_emulator FOLDER: fills it with the program, or with the reason why there is none and the log.
build_emulator() {
    local folder=$1
    say "lab: that takes some minutes, once; LAB_EMULATOR=qemu-system-x86_64 does without"
    (make_emulator "$folder") >"$folder/log" 2>&1 </dev/null || [[ -s $folder/why-not ]] ||
        echo "for it could not be built ($target/log)." >"$folder/why-not"
    rm -rf "$folder"/{source,apt}
}

make_emulator() {
    local folder=$1 source=$1/source version lists
    (( EUID == 0 )) || { echo "for root is needed to get its source." >"$folder/why-not"; return 1; }
    need dpkg-source:dpkg-dev gcc:gcc make:make ninja:ninja-build meson:meson pkg-config:pkg-config python3:python3 \
        /usr/include/glib-2.0/glib.h:libglib2.0-dev /usr/include/pixman-1/pixman.h:libpixman-1-dev \
        /usr/include/libfdt.h:libfdt-dev /usr/include/slirp/libslirp.h:libslirp-dev || return

    # The source packages of wherever this machine gets its packages from, in lists of their own.
    lists=$folder/apt
    mkdir -p "$lists"/{sources,lists/partial} "$source"
    cp -t "$lists/sources" /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null
    sed -i -E 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$lists"/sources/*
    local options=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$lists/sources" -o "Dir::State::Lists=$lists/lists" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update || return
    version=$(dpkg-query -W -f '${source:Version}' qemu-system-x86) || return
    (cd "$source" && { apt-get "${options[@]}" source "qemu=$version" || apt-get "${options[@]}" source qemu; }) || return

    cd "$source"/qemu-*/ && patch -p1 <"$here/emulator.patch" && mkdir build && cd build || return
    # Only the devices that a lab has or a case asks for: what --qemu wants besides must be added here.
    printf 'CONFIG_%s=y\n' Q35 VTD HPET ISA_DEBUG EDU NVME_PCI VIRTIO_PCI VIRTIO_RNG VIRTIO_BLK E1000E_PCI_EXPRESS \
        USB_XHCI_PCI USB_STORAGE_CLASSIC LSI_SCSI_PCI >../configs/devices/x86_64-softmmu/lab.mak
    ../configure --target-list=x86_64-softmmu --without-default-devices --with-devices-x86_64=lab \
        --without-default-features --enable-tcg --enable-slirp --enable-trace-backends=nop \
        --disable-debug-info --disable-qom-cast-debug --disable-docs --disable-tools --disable-werror \
        --disable-install-blobs --firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu || return
    ninja qemu-system-x86_64 && strip -o "$folder/qemu-system-x86_64" qemu-system-x86_64
}
