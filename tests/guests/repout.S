/* String instructions on a port: the text goes out in one `rep outsb`, then 64 bytes come in by `rep insb` from a port
   where nothing is (0x2f0); code 42 if they are all ones, 1 if not. */
#include "guest.inc"
_start: .lcomm  buffer, 64
        cld
        mov     $SERIAL, %dx
        mov     $text, %esi
        mov     $text_end - text, %ecx
        rep     outsb
        mov     $0x2f0, %dx
        mov     $buffer, %edi
        mov     $64, %ecx
        rep     insb
        mov     $buffer, %edi
        mov     $0xff, %al
        mov     $64, %ecx
        repe    scasb
        jne     1f
        exit    OK
1:      exit    1
text:   .ascii  "rep outsb: the quick brown fox jumps over the lazy dog 0123456789\n"
text_end:
