/* Triple fault: an exception with no table to handle it. */
#include "guest.inc"
_start: lidt    none
        ud2
        nop             /* What follows is not run; a crash report shows it. */
        pause
        xchg    %eax, %ecx
none:   .word   0
        .long   0
