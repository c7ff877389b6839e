/* Reads MagicValue of the first virtio-mmio device (0xd0000000) N times; code 42 if it is always "virt", 1 if it ever
   is not. N is the command line (1000). With resident registers none of the reads exits. */
#include "guest.inc"
_start: number_from_command_line 1000
1:      cmpl    $0x74726976, 0xd0000000
        jne     2f
        loop    1b
        exit    OK
2:      exit    1
