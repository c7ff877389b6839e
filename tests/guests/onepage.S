/* Its first exit is its last: code 42. What start-up is measured with. */
#include "guest.inc"
_start: exit    OK
