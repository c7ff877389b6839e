/* Halts with interrupts off: nothing will ever wake it. */
#include "guest.inc"
_start: cli
        hlt
        jmp     _start
