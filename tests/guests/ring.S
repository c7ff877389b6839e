/* Gives the first virtio-mmio device, an entropy source, a queue whose descriptors, available ring and used ring in turn
   lie in a page that is not RAM: each time the device must ask for a reset, and obey one. Then a buffer there, for which
   it must ask too. Then a queue and a buffer in RAM, which must work: code 42; else the number of the step that failed.
   The command line is the address of the page (0xd0000000). */
#include "guest.inc"
        .set    DEVICE, 0xd0000000
        .set    QUEUE_NOTIFY, DEVICE + 0x50
        .set    STATUS, DEVICE + 0x70
        .set    NEEDS_RESET, 0x40
        .set    DESCRIPTORS, 0x200000   /* RAM behind the image, zeros */
        .set    AVAILABLE, 0x201000
        .set    USED, 0x202000
        .set    BUFFER, 0x203000
        .set    LENGTH, 16
        .set    WRITABLE, 2
        .set    PATIENCE, 3             /* times 2^32 cycles */
_start: number_from_command_line 0xd0000000
        stack
        add     $0x800, %ecx            /* nothing but zeros there, whatever page it is */
        mov     %ecx, page
        movl    $LENGTH, DESCRIPTORS + 8
        movl    $WRITABLE, DESCRIPTORS + 12

        incb    step                    /* 1 to 3: rings in the page */
        mov     page, %esi
        mov     $AVAILABLE, %edi
        mov     $USED, %ebp
        call    refused
        incb    step
        mov     $DESCRIPTORS, %esi
        mov     page, %edi
        call    refused
        incb    step
        mov     $AVAILABLE, %edi
        mov     page, %ebp
        call    refused

        incb    step                    /* 4: a buffer in the page */
        mov     $USED, %ebp
        mov     page, %eax
        mov     %eax, DESCRIPTORS
        call    start
        testl   $NEEDS_RESET, STATUS
        jnz     failed
        call    offer
1:      call    hurry
        testl   $NEEDS_RESET, STATUS
        jz      1b
        mov     page, %eax
        cmpl    $0, (%eax)
        je      2f
        cmpl    $-1, (%eax)             /* what nothing answers for reads as ones */
        jne     failed

2:      incb    step                    /* 5: all in RAM */
        movl    $BUFFER, DESCRIPTORS
        call    start
        call    offer
3:      call    hurry
        cmpw    $1, USED + 2
        jne     3b
        cmpl    $LENGTH, USED + 8
        jne     failed
        exit    OK
failed: mov     step, %al
        exit_al

/* Starts the device with such a queue; it asks for a reset, and is well after one. */
refused:
        call    start
        testl   $NEEDS_RESET, STATUS
        jz      failed
        call    offer
        movl    $0, STATUS
        cmpl    $0, STATUS
        jne     failed
        ret

/* From reset to DRIVER_OK: a queue of one entry with descriptors at esi, available ring at edi, used ring at ebp. */
start:  movw    $0, AVAILABLE + 2
        movl    $0, STATUS
        movl    $1, STATUS              /* ACKNOWLEDGE */
        movl    $3, STATUS              /* DRIVER */
        movl    $1, DEVICE + 0x24       /* features 32 to 63: VERSION_1 alone */
        movl    $1, DEVICE + 0x20
        movl    $11, STATUS             /* FEATURES_OK */
        movl    $0, DEVICE + 0x30
        movl    $1, DEVICE + 0x38
        mov     %esi, DEVICE + 0x80
        mov     %edi, DEVICE + 0x90
        mov     %ebp, DEVICE + 0xa0
        movl    $1, DEVICE + 0x44
        movl    $15, STATUS             /* DRIVER_OK */
        ret

/* One buffer, descriptor 0, is there. */
offer:  movw    $1, AVAILABLE + 2
        movl    $0, QUEUE_NOTIFY
        rdtsc
        mov     %edx, since
        ret

/* The step fails some seconds after the last offer. */
hurry:  rdtsc
        sub     since, %edx
        cmp     $PATIENCE, %edx
        ja      failed
        ret

page:   .long   0
since:  .long   0
step:   .byte   0
