/* Writes every byte to the ports of sleep, reset, panic and keyboard, but for those that end the machine there, and to the ports
   by which other machines are reset or switched off; then every byte, four of it at once and two, to and across the
   ports of sleep, reset, panic and exit, which take single bytes only. Then the command line's last byte goes to the
   port that is the rest of it (port * 256 + byte; 0); code 42 if the machine is still there. */
#include "guest.inc"
        .set    KEYBOARD, 0x64
        .set    PANIC, 0x505
        .set    SLEEP, 0x600
        .set    RESET, 0x602
_start: number_from_command_line 0
        stack
        mov     %ecx, last
        xor     %ebx, %ebx              /* bl: the byte, ecx: four of it */
next:   mov     %bl, %al
        and     $0x3c, %al              /* SLP_EN and SLP_TYP 5 */
        cmp     $0x34, %al
        je      1f
        mov     $SLEEP, %dx
        call    byte
1:      mov     $SLEEP + 1, %dx
        call    byte
        cmp     $1, %bl
        je      2f
        mov     $RESET, %dx
        call    byte
2:      test    $1, %bl                 /* panicked */
        jnz     3f
        mov     $PANIC, %dx
        call    byte
3:      cmp     $0xfe, %bl              /* pulse the reset line */
        je      5f
        mov     $KEYBOARD, %dx
        call    byte
5:      mov     $elsewhere, %esi
4:      movzwl  (%esi), %edx
        call    byte
        add     $2, %esi
        cmp     $elsewhere_end, %esi
        jne     4b

        imul    $0x01010101, %ebx, %ecx
        mov     $EXIT_PORT, %edx
        call    wide
        mov     $PANIC, %edx
        call    wide
        mov     $SLEEP, %edx
        call    wide
        mov     $SLEEP + 1, %edx
        call    wide
        mov     $RESET, %edx
        call    wide
        inc     %bl
        jnz     next

        mov     last, %eax
        mov     last + 1, %dx
        out     %al, %dx
        exit    OK

byte:   mov     %bl, %al
        out     %al, %dx
        in      %dx, %al
        ret

/* At dx, and before it so that it is covered. */
wide:   mov     %ecx, %eax
        out     %ax, %dx
        out     %eax, %dx
        dec     %edx
        out     %ax, %dx
        out     %eax, %dx
        dec     %edx
        out     %eax, %dx
        dec     %edx
        out     %eax, %dx
        ret

/* Keyboard controller's data, fast reset, reset control, SMI command, power management of QEMU, Bochs and PIIX4, debug exit. */
elsewhere:
        .word   0x60, 0x92, 0xcf9, 0xb2, 0x604, 0xb004, 0x4004, 0x8900, 0x501
elsewhere_end:
last:   .long   0, 0
