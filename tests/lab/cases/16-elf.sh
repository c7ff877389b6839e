# The kernel inside Debian's bzImage as ELF: entered by its PVH note, and, with the note made unreadable, by Linux's 64-bit boot protocol.
# tier: full
# seconds: 30
# covers: vmm/MicroVm/Boot
source "$(dirname "$0")/../case.sh"

need lz4:lz4
files=$("$lab/lab" --guest-files)
# The payload is one LZ4 legacy frame; lz4 complains about what follows it.
start=$(LC_ALL=C grep -obUaP '\x02\x21\x4c\x18' "$files/vmlinuz" | head -n 1 | cut -d: -f1)
tail -c +$(( start + 1 )) "$files/vmlinuz" | lz4 -dc 2>/dev/null >"$folder/pvh.elf" || true
check "the ELF is unpacked" "no ELF in $files/vmlinuz" grep -qaP '^\x7fELF' "$folder/pvh.elf"

# Note type 18 (PHYS32_ENTRY) with the name "Xen" becomes a type that means nothing.
cp "$folder/pvh.elf" "$folder/plain.elf"
note=$(LC_ALL=C grep -obUaP '\x04\x00\x00\x00[\x04\x08]\x00\x00\x00\x12\x00\x00\x00Xen\x00' "$folder/plain.elf" | head -n 1 | cut -d: -f1)
printf '\x77' | dd of="$folder/plain.elf" bs=1 seek=$(( note + 8 )) conv=notrunc 2>/dev/null

for form in pvh plain; do
    lab_run --file "$folder/$form.elf=/kernel.elf" <<'LAB'
microvm run --kernel /kernel.elf --initrd /lab/initrd --memory 512M --cpus 2 --cmdline "console=ttyS0 quiet microvm.exec=nproc; exit 5"
echo "@code $?"
LAB
    expect_exit 0 "$form: the lab ends well"
    expect_value "$form: the guest's exit code is microvm's" code 5
    expect_line "$form: both processors run" '^2$'
done
