/* exitport PORT VALUE: waits until standard output has left the machine, then writes one byte to an I/O port.
 *
 * Debian's cloud kernel has no /dev/port. Without a C library, because the guest's initramfs is unpacked
 * in every boot that is measured: this is one page. */

static long system_call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

enum { sys_ioctl = 16, sys_exit = 60, sys_iopl = 172, TCSBRK = 0x5409 };

static unsigned number(const char *text)
{
    unsigned base = 10, value = 0;
    if (text[0] == '0' && text[1] == 'x') {
        base = 16;
        text += 2;
    }
    for (; *text; text++)
        value = value * base + (unsigned)(*text <= '9' ? *text - '0' : (*text | 32) - 'a' + 10);
    return value;
}

__attribute__((used)) static void run(long *stack)
{
    long count = stack[0];
    char **arguments = (char **)(stack + 1);
    if (count != 3)
        system_call(sys_exit, 127, 0, 0);
    system_call(sys_ioctl, 1, TCSBRK, 1); /* tcdrain: what was written last is what a reader misses most */
    if (system_call(sys_iopl, 3, 0, 0) != 0)
        system_call(sys_exit, 1, 0, 0);
    __asm__ volatile("outb %0, %1" : : "a"((unsigned char)number(arguments[2])), "d"((unsigned short)number(arguments[1])));
    system_call(sys_exit, 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
