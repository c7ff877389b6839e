/* Writes to the serial port for ever, as fast as it can, and never asks whether there is room. */
#include "guest.inc"
_start: mov     $SERIAL, %dx
        mov     $'x', %al
1:      out     %al, %dx
        jmp     1b
