/* Writes and reads the first and the last 8 bytes of each range of RAM that the memory map tells of, and those behind it
   and behind 3 GiB, where no memory may be. Code 42 if that is so and the RAM, with what is reserved below 1 MiB, is as
   many KiB as the command line says; 1 where RAM is missing, 2 where there is some and should not, 3 for the sum. */
#include "guest.inc"
        .set    MEMORY_MAP, 0x28        /* hvm_start_info.memmap_paddr, 24 bytes an entry: address, size, type */
        .set    MEMORY_ENTRIES, 0x30
        .set    RAM, 1
        .set    PML4, 0x180000          /* RAM behind the image, zeros */
        .set    PDPT, 0x181000
        .set    PD, 0x182000
        .set    ENTRY, 0x63             /* present, writable, accessed, dirty */
        .set    LARGE, 0x80
        .set    WINDOW, 0x200000        /* 2 MiB that show what PD + 8 says */
_start: number_from_command_line 0
        stack
        mov     %ecx, %edi
        movl    $PDPT + ENTRY, PML4
        movl    $PD + ENTRY, PDPT
        movl    $LARGE + ENTRY, PD
        long_mode PML4
        mov     MEMORY_MAP(%rbx), %rsi
        mov     MEMORY_ENTRIES(%rbx), %ebp
        xor     %r8, %r8                /* bytes */
next:   mov     (%rsi), %r9
        mov     8(%rsi), %r10
        cmpl    $RAM, 16(%rsi)
        je      1f
        cmp     $0x100000, %r9
        jae     2f
        add     %r10, %r8
        jmp     2f
1:      add     %r10, %r8
        mov     %r9, %rax
        call    probe
        jne     absent
        lea     -8(%r9,%r10), %rax
        call    probe
        jne     absent
        lea     (%r9,%r10), %r11        /* RAM goes on behind 640 KiB and nowhere else */
        cmp     $0x100000, %r11
        jb      2f
        mov     %r11, %rax
        call    probe
        je      present
2:      add     $24, %rsi
        dec     %ebp
        jnz     next

        mov     $0xc0000000, %eax
        call    probe
        je      present
        shl     $10, %rdi
        cmp     %rdi, %r8
        jne     sum
        exit    OK
absent: exit    1
present:
        exit    2
sum:    exit    3

/* Equal if 8 bytes at rax keep what is written. They are as before then. Takes rax, rcx and rdx. */
probe:  mov     %rax, %rdx
        and     $-WINDOW, %rax
        or      $LARGE + ENTRY, %rax
        mov     $PD, %ecx
        mov     %rax, 8(%rcx)
        mov     %cr3, %rax
        mov     %rax, %cr3
        and     $WINDOW - 1, %edx
        or      $WINDOW, %edx
        mov     (%rdx), %rax
        mov     %rax, %rcx
        not     %rcx
        mov     %rcx, (%rdx)
        cmp     (%rdx), %rcx
        mov     %rax, (%rdx)
        ret
