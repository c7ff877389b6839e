/* Runs into an address where there is no memory and no device: nothing can be fetched there. */
#include "guest.inc"
_start: mov     $0xd0000000, %eax
        jmp     *%eax
