/* Triple fault: an exception with no table to handle it. */
#include "guest.inc"
_start: lidt    none
        ud2
none:   .word   0
        .long   0
