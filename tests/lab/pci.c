/* pci FOLDER ACTION...: does to a PCI function, from user space and through its folder in sysfs, what no driver does.
 * The function may be in use. Actions with MS last that many milliseconds and print how often they did it: "@ACTION COUNT".
 *
 *   mask VECTOR MS      masks and unmasks a vector of its MSI-X table
 *   all MS              the same with the mask of the function
 *   rewrite VECTOR MS   gives an unmasked vector another message, again and again, and its own one at the end
 *   garbage VECTOR      every kind of address and data that is no interrupt, unmasked; its own one at the end
 *   widths VECTOR       the entry written with every width at every offset, misaligned too; its own one at the end
 *   line MS             switches INTx off and on in Command
 *   move BAR ADDRESS MS moves a memory BAR there and back, while a second process reads it
 *   ecam ADDRESS        reads and writes of 8 bytes, and across the end of the function, in its part of configuration space
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { page = 4096, command = 4, bars = 0x10, msix = 0x11 };

static const char *folder;
static int config_file;

static uint32_t config(int offset, int width)
{
    uint32_t value = 0;
    if (pread(config_file, &value, width, offset) != width) exit(3);
    return value;
}
static void set_config(int offset, int width, uint32_t value)
{
    if (pwrite(config_file, &value, width, offset) != width) exit(3);
}

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int find_capability(int wanted)
{
    for (int at = config(0x34, 1), i = 0; at && i < 48; at = config(at + 1, 1), i++)
        if (config(at, 1) == (uint32_t)wanted) return at;
    exit(4);
}

static volatile uint8_t *map_bar(int bar, long *size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/resource%d", folder, bar);
    int file = open(path, O_RDWR);
    struct stat s = { 0 };
    long length = file < 0 || fstat(file, &s) ? 0 : s.st_size;
    if (size) *size = length;
    void *at = length > 0 ? mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    if (at == MAP_FAILED) {
        perror(path);
        exit(5);
    }
    return at;
}

static volatile uint32_t *entry(int vector)
{
    uint32_t table = config(find_capability(msix) + 4, 4);
    return (volatile uint32_t *)(map_bar(table & 7, 0) + (table & ~7u) + 16 * vector);
}

static long mask(volatile uint32_t *e, long until)
{
    long n = 0;
    for (; now() < until; n++) {
        e[3] = 1;
        e[3] = 0;
    }
    return n;
}

static long mask_all(long until)
{
    int at = find_capability(msix) + 2;
    uint32_t control = config(at, 2);
    long n = 0;
    for (; now() < until; n++) {
        set_config(at, 2, control | 0x4000);
        set_config(at, 2, control);
    }
    return n;
}

static long rewrite(volatile uint32_t *e, long until)
{
    uint32_t address = e[0], data = e[2];
    long n = 0;
    for (; now() < until; n++) e[2] = 0xf0 + n % 8; /* vectors that Linux leaves alone, or bears */
    e[0] = address;
    e[2] = data;
    return n;
}

static void garbage(volatile uint32_t *e)
{
    static const uint32_t addresses[] = { 0, 0x1000, 0xfed00000, 0xfef00000, 0xffffffff, 0xfee00000 };
    static const uint32_t values[] = { 0, 0x1f, 0xffffffff, 0x700, 0xc0ff };
    uint32_t own[4] = { e[0], e[1], e[2], e[3] };
    for (unsigned a = 0; a < 6; a++)
        for (unsigned h = 0; h < 2; h++)
            for (unsigned d = 0; d < 5; d++) {
                if (addresses[a] == 0xfee00000 && !h) continue; /* a real one */
                e[3] = 1;
                e[0] = addresses[a];
                e[1] = h ? 0xffffffff : 0;
                e[2] = values[d];
                e[3] = 0;
            }
    e[3] = 1;
    for (int i = 0; i < 4; i++) e[i] = own[i];
    printf("@garbage 1\n");
}

static void widths(volatile uint32_t *e)
{
    uint32_t own[4] = { e[0], e[1], e[2], e[3] };
    volatile uint8_t *at = (volatile uint8_t *)e;
    e[3] = 1;
    for (int i = 0; i < 16; i++) {
        at[i] = 0x5a;
        if (i <= 14) *(volatile uint16_t *)(at + i) = 0x5a5a;
        if (i <= 12) *(volatile uint32_t *)(at + i) = 0x5a5a5a5b;
        if (i <= 8) *(volatile uint64_t *)(at + i) = 0x5a5a5a5b5a5a5a5bull;
    }
    e[3] = 1;
    for (int i = 0; i < 4; i++) e[i] = own[i];
    printf("@widths %d\n", e[0] == own[0] && e[2] == own[2] && e[3] == own[3]);
}

static long line(long until)
{
    uint32_t on = config(command, 2) & ~0x400u;
    long n = 0;
    for (; now() < until; n++) {
        set_config(command, 2, on | 0x400);
        set_config(command, 2, on);
    }
    return n;
}

static long move(int bar, uint64_t there, long until)
{
    long size, n = 0;
    volatile uint8_t *at = map_bar(bar, &size);
    uint32_t low = config(bars + 4 * bar, 4), high = (low & 6) == 4 ? config(bars + 4 * bar + 4, 4) : 0;
    pid_t reader = fork();
    if (!reader)
        for (uint32_t sum = 0;; sum++) (void)*(volatile uint32_t *)(at + sum * 4 % size);
    for (; now() < until; n++) {
        set_config(bars + 4 * bar, 4, (uint32_t)there);
        if ((low & 6) == 4) set_config(bars + 4 * bar + 4, 4, there >> 32);
        set_config(bars + 4 * bar, 4, low);
        if ((low & 6) == 4) set_config(bars + 4 * bar + 4, 4, high);
    }
    kill(reader, SIGKILL);
    waitpid(reader, 0, 0);
    return n;
}

/* Two pages from the function's on, with its neighbour's. The command register stays as it is. */
static void ecam(uint64_t address)
{
    int file = open("/dev/mem", O_RDWR | O_SYNC);
    volatile uint8_t *at = mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, address);
    if (at == MAP_FAILED) {
        perror("/dev/mem");
        exit(6);
    }
    uint64_t sum = 0;
    int same = 1;
    for (int i = 0; i + 8 <= page; i += 4) {
        uint64_t wide = *(volatile uint64_t *)(at + i);
        same &= (uint32_t)wide == *(volatile uint32_t *)(at + i) && wide >> 32 == *(volatile uint32_t *)(at + i + 4);
    }
    for (int i = page - 7; i < page; i++) sum += *(volatile uint64_t *)(at + i);
    for (int i = 0x40; i + 8 <= page; i += 8) *(volatile uint64_t *)(at + i) = 0;
    for (int i = page - 7; i < page; i++) *(volatile uint64_t *)(at + i) = ~0ull;
    printf("@ecam %d\n", same);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    char path[256];
    folder = argv[1];
    snprintf(path, sizeof path, "%s/config", folder);
    config_file = open(path, O_RDWR);
    const char *what = argv[2];
    long n = argc > 3 ? strtol(argv[3], 0, 0) : 0, ms = argc > 3 ? strtol(argv[argc - 1], 0, 0) : 0, did = -1;
    if (!strcmp(what, "mask")) did = mask(entry(n), now() + ms);
    else if (!strcmp(what, "all")) did = mask_all(now() + ms);
    else if (!strcmp(what, "rewrite")) did = rewrite(entry(n), now() + ms);
    else if (!strcmp(what, "garbage")) garbage(entry(n));
    else if (!strcmp(what, "widths")) widths(entry(n));
    else if (!strcmp(what, "line")) did = line(now() + ms);
    else if (!strcmp(what, "move")) did = move(n, strtoull(argv[4], 0, 0), now() + ms);
    else if (!strcmp(what, "ecam")) ecam(strtoull(argv[3], 0, 0));
    else return 2;
    if (did >= 0) printf("@%s %ld\n", what, did);
    return 0;
}
