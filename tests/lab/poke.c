/* Writes registers as no driver does: poke ADDRESS BYTES VALUE, one access of that width through /dev/mem.
   Cached, as ACPI maps its registers: the kernel refuses two kinds of mapping of one page, and busybox's devmem asks for the other. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    uint64_t address = strtoull(argv[1], 0, 0), value = strtoull(argv[3], 0, 0);
    int fd = open("/dev/mem", O_RDWR);
    char *page = mmap(0, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(address & ~0xfffull));
    if (page == MAP_FAILED) {
        perror(argv[1]);
        return 1;
    }
    volatile void *at = page + (address & 0xfff);
    switch (atoi(argv[2])) {
    case 1: *(volatile uint8_t *)at = (uint8_t)value; break;
    case 2: *(volatile uint16_t *)at = (uint16_t)value; break;
    case 4: *(volatile uint32_t *)at = (uint32_t)value; break;
    default: *(volatile uint64_t *)at = value;
    }
    return 0;
}
