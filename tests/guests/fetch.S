/* Jumps to the address that is the command line (0xd0000000), with 42 in al and RAM at eax: a register page that is
   fetched from has its bytes run as instructions. */
#include "guest.inc"
        .set    RAM, 0x200000 + OK
_start: number_from_command_line 0xd0000000
        mov     $RAM, %eax
        jmp     *%ecx
