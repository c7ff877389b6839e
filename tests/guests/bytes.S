/* Writes N bytes, the alphabet again and again, each after the transmitter said that it is empty; then code 42.
   N is the command line (65536). */
#include "guest.inc"
_start: number_from_command_line 65536
        mov     $'A', %bl
1:      jecxz   3f
        mov     $SERIAL + 5, %dx
2:      in      %dx, %al
        test    $0x20, %al
        jz      2b
        mov     $SERIAL, %dx
        mov     %bl, %al
        out     %al, %dx
        inc     %bl
        cmp     $'Z' + 1, %bl
        jne     4f
        mov     $'A', %bl
4:      dec     %ecx
        jmp     1b
3:      exit    OK
