/* N times: CPUID of a random leaf, RDMSR of a random number and WRMSR of what was read, and WRMSR of garbage to one
   that has just refused to be read. General protection skips the instruction, as all of them are two bytes long.
   Then writes to CR4 and XCR0 that the processor must refuse; ends with 42 if it did. N is the command line (1000). */
#include "guest.inc"
        .set    CODE, 8
        .set    DATA, 16
_start: number_from_command_line 1000
        stack
        mov     %ecx, left
        mov     $handler, %eax
        mov     %ax, gate
        shr     $16, %eax
        mov     %ax, gate + 6
        lgdt    gdtr
        ljmp    $CODE, $1f
1:      mov     $DATA, %eax
        mov     %eax, %ss
        mov     %eax, %ds
        mov     %eax, %es
        lidt    idtr

next:   call    random
        mov     %eax, %ecx              /* any leaf, and one of the three ranges in use */
        cpuid
        call    random
        and     $0xc00000ff, %eax
        xor     %ecx, %ecx
        cpuid
        call    random
        mov     %eax, %ecx              /* any MSR */
        call    touch
        call    random
        and     $0xc0011fff, %eax       /* one near those in use */
        mov     %eax, %ecx
        call    touch
        decl    left
        jnz     next

        movl    $0, faults
        mov     %cr4, %eax
        or      $0x80000000, %eax       /* reserved: general protection, and it is three bytes long */
        movl    $3, length
        mov     %eax, %cr4
        mov     %cr4, %eax
        or      $0x40000, %eax          /* OSXSAVE, where there is one: XCR0 without x87 is refused */
        mov     %eax, %cr4
        xor     %ecx, %ecx
        xor     %eax, %eax
        xor     %edx, %edx
        xsetbv
        cmpl    $2, faults
        jb      bad
        exit    OK
bad:    exit    1

/* Reads MSR ecx and writes the same again; garbage if it cannot be read. */
touch:  mov     faults, %ebx
        rdmsr
        cmp     faults, %ebx
        je      2f
        mov     $0xdeadbeef, %eax
        mov     %eax, %edx
2:      wrmsr
        ret

random: imul    $1664525, seed, %eax
        add     $1013904223, %eax
        mov     %eax, seed
        bswap   %eax
        ret

/* Returns without iret, which KVM cannot emulate where it has to emulate the kernel: a near return that drops cs and
   eflags, as both are what they were. On the stack: error code, eip, cs, eflags. */
handler:
        push    %eax
        mov     length, %eax
        add     %eax, 8(%esp)
        incl    faults
        pop     %eax
        add     $4, %esp
        ret     $8

        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   .word   23
        .long   gdt
idtr:   .word   14 * 8 - 1
        .long   idt
seed:   .long   1
length: .long   2
left:   .long   0
faults: .long   0
        .balign 8
/* Thirteen that are absent: any other exception is a triple fault, and a crash with a report. */
idt:    .fill   13, 8, 0
gate:   .word   0, CODE, 0x8e00, 0
