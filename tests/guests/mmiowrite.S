/* Writes QueueSel of the first virtio-mmio device (0xd0000030) N times, each one an exit; then code 42.
   N is the command line (1000). */
#include "guest.inc"
_start: number_from_command_line 1000
1:      mov     %ecx, 0xd0000030
        loop    1b
        exit    OK
