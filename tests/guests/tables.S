/* Enters long mode with tables in RAM that map the first 2 MiB at 0 and at WINDOW, goes on in the window, and then has
   the processor walk a PML4 that is somewhere else. In the page of the first virtio-mmio device the entry for the
   window is the first 8 bytes of the device's configuration. Code 42 if the guest still runs there and can write.
   The command line is the address of that PML4 (0xd0000000). */
#include "guest.inc"
        .set    PML4, 0x180000          /* RAM behind the image, zeros */
        .set    PD, 0x181000
        .set    PDPT, 0x200000
        .set    ENTRY, 0x63             /* present, writable, accessed, dirty */
        .set    LARGE, 0x80
        .set    WINDOW, 32 << 39
_start: number_from_command_line 0xd0000000
        mov     %ecx, %edi
        movl    $PDPT + ENTRY, PML4
        movl    $PDPT + ENTRY, PML4 + 8 * 32
        movl    $PD + ENTRY, PDPT
        movl    $LARGE + ENTRY, PD
        long_mode PML4
        mov     $WINDOW, %rbx
        mov     $1f, %eax
        add     %rbx, %rax
        jmp     *%rax
1:      mov     $count, %esi
        mov     %rdi, %cr3
        incl    (%rbx,%rsi)
        cmpl    $1, (%rbx,%rsi)
        jne     2f
        exit    OK
2:      exit    1
count:  .long   0
