/* Never leaves the guest. */
#include "guest.inc"
_start: jmp     _start
