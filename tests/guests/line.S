/* Takes the level-triggered line of an assigned QEMU edu device on bus 0, does not end the interrupt for N million TSC
   ticks (the command line; 3000), then ends it while the device still asserts the line, then for good. Prints after
   each step how many interrupts it has taken: 1 after the first, 1 after the wait, 2 after the first end, 2 after the
   device was acknowledged and the second one ended. Code 42; 1 if there is no such device, 2 if an interrupt does not
   come. */
#include "guest.inc"
        .set    EDU, 0x11e81234
        .set    BAR, 0xc8000000
        .set    IOAPIC, 0xfec00000
        .set    VECTOR, 0x51
        .set    RAISE, 0x60
        .set    ACKNOWLEDGE, 0x64
        .lcomm  idt, 8 * (VECTOR + 1)
        .lcomm  taken, 4
        .lcomm  ticks, 4

_start: number_from_command_line 3000
        mov     %ecx, ticks
        stack

        mov     $0xe0000000, %esi       /* functions 0 of bus 0 */
find:   cmpl    $EDU, (%esi)
        je      found
        add     $0x8000, %esi
        cmp     $0xe0100000, %esi
        jb      find
        exit    1
found:  movl    $BAR, 0x10(%esi)
        movw    $2, 4(%esi)             /* memory on, INTx not off */

        mov     $interrupt, %eax        /* a gate of 32 bits */
        mov     %ax, idt + 8 * VECTOR
        shr     $16, %eax
        mov     %ax, idt + 8 * VECTOR + 6
        movw    $8, idt + 8 * VECTOR + 2
        movw    $0x8e00, idt + 8 * VECTOR + 4
        lidt    idtr
        lgdt    gdtr
        ljmp    $8, $1f
1:
        mov     $0x1b, %ecx             /* x2APIC on */
        rdmsr
        or      $0xc00, %eax
        wrmsr
        mov     $0x80f, %ecx            /* spurious vector, enabled */
        mov     $0x1ff, %eax
        xor     %edx, %edx
        wrmsr

        movl    $1, IOAPIC              /* every pin: level, to processor 0 */
        mov     IOAPIC + 0x10, %ecx
        shr     $16, %ecx
        and     $0xff, %ecx
pins:   lea     0x11(,%ecx,2), %eax
        mov     %eax, IOAPIC
        movl    $0, IOAPIC + 0x10
        dec     %eax
        mov     %eax, IOAPIC
        movl    $0x8000 | VECTOR, IOAPIC + 0x10
        dec     %ecx
        jns     pins
        sti

        movl    $1, BAR + RAISE
        mov     $1, %ebx
        call    await
        call    print
        mov     ticks, %ebx
        call    wait
        call    print
        call    end                     /* the line is still asserted: once more */
        mov     $2, %ebx
        call    await
        call    print
        movl    $1, BAR + ACKNOWLEDGE
        call    end
        mov     $100, %ebx
        call    wait
        call    print
        exit    OK

interrupt:
        incl    taken
        iret

/* Until ebx interrupts were taken. */
await:  mov     $400000000, %ecx
2:      cmp     %ebx, taken
        jae     3f
        loop    2b
        exit    2
3:      ret

/* ebx million ticks. */
wait:   mov     %ebx, %eax
        mov     $1000000, %edx
        mul     %edx
        mov     %eax, %edi
        mov     %edx, %ebp
        rdtsc
        add     %eax, %edi
        adc     %edx, %ebp
4:      rdtsc
        cmp     %ebp, %edx
        jb      4b
        ja      5f
        cmp     %edi, %eax
        jb      4b
5:      ret

/* The end of interrupt, x2APIC. */
end:    mov     $0x80b, %ecx
        xor     %eax, %eax
        xor     %edx, %edx
        wrmsr
        ret

/* What was taken, as a line "@N". */
print:  mov     $SERIAL, %dx
        mov     $'@', %al
        out     %al, %dx
        mov     taken, %eax
        cmp     $9, %eax
        jbe     6f
        mov     $9, %eax                /* more than nine are too many however many */
6:      add     $'0', %al
        out     %al, %dx
        mov     $'\n', %al
        out     %al, %dx
        ret

        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff   /* code, flat */
gdtr:   .word   15
        .long   gdt
idtr:   .word   8 * (VECTOR + 1) - 1
        .long   idt
