/* Pokes everything that may be there or not: each port up to N (the command line; 4096) with each width, read and
   written with zeros and ones; every register of the virtio-mmio pages, of the GED and of the IOAPIC with each width,
   also across registers; and one address per MiB of the whole hole below 4 GiB. Left out are the writes that end the
   machine: the exit port, the panic port, the sleep registers, and what covers them. Then code 42. */
#include "guest.inc"
_start: number_from_command_line 4096
        stack
        mov     %ecx, %edi              /* ports */
        xor     %edx, %edx
ports:  in      %dx, %al
        in      %dx, %ax
        in      %dx, %eax
        mov     %edx, %eax
        sub     $EXIT_PORT - 3, %eax
        cmp     $4, %eax
        jb      next_port
        mov     %edx, %eax
        sub     $0x505 - 3, %eax
        cmp     $4, %eax
        jb      next_port
        mov     %edx, %eax
        sub     $0x600 - 3, %eax
        cmp     $6, %eax
        jb      next_port
        xor     %eax, %eax
        out     %al, %dx
        out     %ax, %dx
        out     %eax, %dx
        dec     %eax
        out     %al, %dx
        out     %ax, %dx
        out     %eax, %dx
next_port:
        inc     %edx
        cmp     %edi, %edx
        jb      ports

        mov     $0xd0000000, %esi       /* virtio-mmio: 4 devices, every fourth byte of the first 512 */
        mov     $4, %ebp
pages:  mov     $128, %ecx
        call    registers
        add     $0x1000 - 512, %esi
        dec     %ebp
        jnz     pages
        mov     $0xfeb00000, %esi       /* GED */
        mov     $4, %ecx
        call    registers
        mov     $0xfec00000, %esi       /* IOAPIC */
        mov     $16, %ecx
        call    registers

        mov     $0xc0000000, %esi       /* the hole */
hole:   mov     $1, %ecx
        call    registers
        add     $0x100000 - 4, %esi
        cmp     $0xfee00000, %esi       /* the local APIC's page belongs to KVM */
        je      3f
        cmp     $0xfff00000, %esi
        jb      hole
        jmp     4f
3:      add     $0x100000, %esi
        jmp     hole
4:      exit    OK

/* ecx registers of 4 bytes from esi on. */
registers:
1:      mov     (%esi), %al
        mov     (%esi), %ax
        mov     (%esi), %eax
        mov     1(%esi), %ax
        mov     3(%esi), %eax
        xor     %eax, %eax
        mov     %al, (%esi)
        mov     %ax, (%esi)
        mov     %eax, (%esi)
        dec     %eax
        mov     %al, 1(%esi)
        mov     %ax, 3(%esi)
        mov     %eax, 2(%esi)
        mov     %eax, (%esi)
        add     $4, %esi
        loop    1b
        ret
