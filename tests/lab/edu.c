/* edu FOLDER ACTION...: drives QEMU's educational device (docs/specs/edu.txt there) from user space, through the
 * function's folder in sysfs. Prints "@KEY VALUE" lines.
 *
 *   id                 what it is, and that its registers answer
 *   dma                a page of ours into the device and back, over DMA both ways
 *   outside ADDRESS    DMA from the device to a guest physical address that is no memory
 *   stream COUNT       that many DMA transfers without a pause
 *   msi COUNT          COUNT interrupts by MSI, with the vector of the rescheduling interrupt, which Linux counts and bears
 *   storm COUNT        COUNT interrupts by MSI without a pause; prints how many were taken
 *   config             every offset and width behind the header of any function's configuration space, written with
 *                      ones, then with zeros
 *   poke COUNT         COUNT reads of a register
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { id = 0x00, live = 0x04, raise_irq = 0x60, acknowledge = 0x64, source = 0x80, target = 0x88, count = 0x90, command = 0x98 };
enum { start = 1, from_device = 2, buffer = 0x40000, page = 4096,
    piece = 2048 /* QEMU 7.2 aborts on one that ends where the buffer ends */ };

static volatile uint8_t *registers;
static int config_file;

static uint32_t get(int offset) { return *(volatile uint32_t *)(registers + offset); }
static void put(int offset, uint32_t value) { *(volatile uint32_t *)(registers + offset) = value; }
static void put64(int offset, uint64_t value) { *(volatile uint64_t *)(registers + offset) = value; }

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

static uint64_t physical(void *address)
{
    uint64_t entry = 0;
    int file = open("/proc/self/pagemap", O_RDONLY);
    if (pread(file, &entry, 8, (uintptr_t)address / page * 8) != 8 || !(entry >> 63)) exit(4);
    close(file);
    return (entry & ((1ull << 55) - 1)) * page;
}

/* 0 when the device says that it is done, within two seconds. */
static int transfer(uint64_t from, uint64_t to, int direction)
{
    put64(source, from);
    put64(target, to);
    put64(count, piece);
    put(command, start | direction);
    for (int i = 0; i < 2000; i++) {
        if (!(get(command) & start)) return 0;
        usleep(1000);
    }
    return 1;
}

static int find_capability(int wanted)
{
    for (int at = config(0x34, 1), i = 0; at && i < 48; at = config(at + 1, 1), i++)
        if (config(at, 1) == (uint32_t)wanted) return at;
    return 0;
}

static long rescheduled(void)
{
    char line[4096];
    long sum = -1;
    FILE *f = fopen("/proc/interrupts", "r");
    while (fgets(line, sizeof line, f)) {
        char *at = strstr(line, "RES:");
        if (!at) continue;
        sum = 0;
        for (at += 4;;) {
            char *end;
            long n = strtol(at, &end, 10);
            if (end == at) break;
            sum += n;
            at = end;
        }
    }
    fclose(f);
    return sum;
}

static void dma(void)
{
    static uint8_t out[page] __attribute__((aligned(4096))), in[page] __attribute__((aligned(4096)));
    for (int i = 0; i < page; i++) out[i] = (uint8_t)(i * 7 + 1);
    memset(in, 0xee, page);
    int failed = transfer(physical(out), buffer, 0) | transfer(buffer, physical(in), from_device);
    printf("@dma %s\n", failed ? "no answer" : memcmp(in, out, piece) ? "wrong bytes" : "right");
}

static void outside(uint64_t address)
{
    printf("@outside %s\n", transfer(buffer, address, from_device) ? "no answer" : "ended");
}

static void stream(int n)
{
    static uint8_t in[page] __attribute__((aligned(4096)));
    in[0] = 1;
    uint64_t to = physical(in);
    printf("@streaming 1\n");
    fflush(stdout);
    while (n--) transfer(buffer, to, from_device);
}

static void msi(int n)
{
    int at = find_capability(5);
    long before = rescheduled();
    if (!at) exit(5);
    set_config(at + 4, 4, 0xfee00000);
    set_config(at + 8, 4, 0);
    set_config(at + 12, 2, 0xfd);
    set_config(at + 2, 2, config(at + 2, 2) | 1);
    for (int i = 0; i < n; i++) {
        long now = rescheduled();
        put(raise_irq, 1);
        put(acknowledge, 1);
        /* A processor that the host runs late takes two as one. */
        for (int wait = 0; wait < 100 && rescheduled() == now; wait++) usleep(1000);
    }
    long once = rescheduled() - before;
    set_config(at + 2, 2, config(at + 2, 2) & ~1);
    put(raise_irq, 1);
    put(acknowledge, 1);
    usleep(2000);
    printf("@msi %ld\n@msi_off %ld\n", once, rescheduled() - before - once);
}

static void storm(int n)
{
    int at = find_capability(5);
    long before = rescheduled();
    if (!at) exit(5);
    set_config(at + 4, 4, 0xfee00000);
    set_config(at + 8, 4, 0);
    set_config(at + 12, 2, 0xfd);
    set_config(at + 2, 2, config(at + 2, 2) | 1);
    for (int i = 0; i < n; i++) {
        put(raise_irq, 1);
        put(acknowledge, 1);
    }
    usleep(10000);
    printf("@storm %ld\n", rescheduled() - before);
    set_config(at + 2, 2, config(at + 2, 2) & ~1);
}

static void write_all(void)
{
    static const int widths[] = { 1, 2, 4 };
    for (int pass = 0; pass < 2; pass++)
        for (int w = 0; w < 3; w++)
            for (int at = 0; at < 4096; at += widths[w]) {
                if (at < 0x40) continue;
                set_config(at, widths[w], pass ? 0 : 0xffffffff);
            }
    printf("@config written\n");
}

int main(int argc, char **argv)
{
    char path[256];
    if (argc < 3) return 2;
    snprintf(path, sizeof path, "%s/config", argv[1]);
    config_file = open(path, O_RDWR);
    if (!strcmp(argv[2], "config")) {
        write_all();
        return 0;
    }
    snprintf(path, sizeof path, "%s/resource0", argv[1]);
    int file = open(path, O_RDWR);
    set_config(4, 2, config(4, 2) | 6);
    registers = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (config_file < 0 || registers == MAP_FAILED) {
        perror(argv[1]);
        return 2;
    }
    long n = argc > 3 ? strtol(argv[3], 0, 0) : 1;
    if (!strcmp(argv[2], "id")) {
        put(live, 0x12345678);
        printf("@id 0x%08x\n@live 0x%08x\n", get(id), get(live));
    }
    else if (!strcmp(argv[2], "dma")) dma();
    else if (!strcmp(argv[2], "outside")) outside(strtoull(argv[3], 0, 0));
    else if (!strcmp(argv[2], "stream")) stream(n);
    else if (!strcmp(argv[2], "msi")) msi(n);
    else if (!strcmp(argv[2], "storm")) storm(n);
    else if (!strcmp(argv[2], "poke")) {
        uint32_t sum = 0;
        for (long i = 0; i < n; i++) sum |= get(id);
        printf("@poked 0x%08x\n", sum);
    }
    else return 2;
    return 0;
}
