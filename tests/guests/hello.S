/* Its first exit writes a line feed to the serial port, which a reader of the console can time; then code 42. */
#include "guest.inc"
_start: mov     $SERIAL, %dx
        mov     $10, %al
        out     %al, %dx
        exit    OK
