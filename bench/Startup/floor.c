/* The floor of start-up: the least that a program must do to bring a guest to its first exit, in C and linked
   statically. It makes the system calls that microvm makes, in the same order: memory slots, split irqchip, vCPU,
   CPUID, MSRs, registers, run. What microvm needs above this is the runtime, its arguments, its ACPI
   tables and its devices.

   floor [--no-cpuid] [--bad-order] [--full-irqchip] [--timeline] [--memory MIB] GUEST.elf

   --no-cpuid      does not ask KVM for the CPUID leaves nor set any: what that one step costs
   --bad-order     irqchip, PIT and vCPU before memory, as most monitors do it: the next memory slot then waits for an
                   SRCU grace period (ablation of the order; implies --full-irqchip)
   --full-irqchip  PIC, IOAPIC and PIT in KVM, in the good order
   --timeline      microseconds since the start of main for each step, on standard error, at the end

   The guest ends it with a byte written to port 0xf4, which becomes the exit code; bytes written to 0x3f8 go to
   standard output. 123: the guest crashed; 125: KVM refused something. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PINS = 4, TSS = 0xfffbd000, START_INFO = 0x6000, MEMORY_MAP = 0x6100, CPUID_LEAVES = 128, PVH_NOTE = 18 };

static struct { const char *what; double us; } steps[32];
static int step_count, timeline;
static double start;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void done(const char *what)
{
    if (timeline && step_count < 32) steps[step_count].what = what, steps[step_count++].us = now_us() - start;
}

static void finish(int code)
{
    for (int i = 0; i < step_count; i++)
        fprintf(stderr, "%9.1f %+8.1f  %s\n", steps[i].us, steps[i].us - (i ? steps[i - 1].us : 0), steps[i].what);
    _exit(code);
}

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(125);
}

static long check(long result, const char *what)
{
    if (result < 0) die(what);
    return result;
}

/* Copies the loadable segments of a 32-bit ELF and returns the entry point that its PVH note names. */
static uint32_t load(const char *path, uint8_t *memory, size_t size)
{
    static uint8_t file[1 << 16] __attribute__((aligned(16)));
    int fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
    long length = check(read(fd, file, sizeof file), path);
    close(fd);
    Elf32_Ehdr *elf = (void *)file;
    if (length < (long)sizeof *elf || memcmp(elf->e_ident, ELFMAG "\1", 5) || elf->e_phoff + elf->e_phnum * sizeof(Elf32_Phdr) > (size_t)length) {
        errno = ENOEXEC;
        die(path);
    }
    uint32_t entry = 0;
    Elf32_Phdr *header = (void *)(file + elf->e_phoff);
    for (int i = 0; i < elf->e_phnum; i++) {
        Elf32_Phdr *p = header + i;
        if ((uint64_t)p->p_offset + p->p_filesz > (size_t)length || (uint64_t)p->p_paddr + p->p_memsz > size) continue;
        if (p->p_type == PT_LOAD) memcpy(memory + p->p_paddr, file + p->p_offset, p->p_filesz);
        Elf32_Nhdr *note = (void *)(file + p->p_offset);
        if (p->p_type == PT_NOTE && note->n_type == PVH_NOTE) memcpy(&entry, (uint8_t *)(note + 1) + 4, 4);
    }
    return entry;
}

/* struct hvm_start_info, version 1, with one memory map entry and an empty command line. */
static void write_start_info(uint8_t *memory, uint64_t size)
{
    uint32_t info[14] = { 0x336ec578, 1, 0, 0, [6] = START_INFO + 0x80, [10] = MEMORY_MAP, [12] = 1 };
    struct { uint64_t address, size; uint32_t type, reserved; } map = { 0, size, 1, 0 };
    memcpy(memory + START_INFO, info, sizeof info);
    memcpy(memory + MEMORY_MAP, &map, sizeof map);
}

static void add_memory(int vm, void *memory, uint64_t size)
{
    struct kvm_userspace_memory_region region = { .memory_size = size, .userspace_addr = (uintptr_t)memory };
    check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    check(ioctl(vm, KVM_SET_TSS_ADDR, TSS), "KVM_SET_TSS_ADDR");
    done("KVM_SET_USER_MEMORY_REGION");
}

static void make_irqchip(int vm, int full)
{
    if (full) {
        struct kvm_pit_config pit = { 0 };
        check(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
        check(ioctl(vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
        done("KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2");
    } else {
        struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { PINS } };
        check(ioctl(vm, KVM_ENABLE_CAP, &cap), "KVM_CAP_SPLIT_IRQCHIP");
        done("KVM_CAP_SPLIT_IRQCHIP");
    }
}

static int make_vcpu(int kvm, int vm, int with_cpuid)
{
    static struct { struct kvm_cpuid2 head; struct kvm_cpuid_entry2 leaves[CPUID_LEAVES]; } cpuid = { .head.nent = CPUID_LEAVES };
    int vcpu = check(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    done("KVM_CREATE_VCPU");
    if (!with_cpuid) return vcpu;
    check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
    done("KVM_GET_SUPPORTED_CPUID");
    check(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
    done("KVM_SET_CPUID2");
    return vcpu;
}

/* Fast string instructions, and write-back as the type of all memory. */
static void set_msrs(int vcpu)
{
    struct { struct kvm_msrs head; struct kvm_msr_entry entries[2]; } msrs = {
        .head.nmsrs = 2, .entries = { { .index = 0x1a0, .data = 1 }, { .index = 0x2ff, .data = 0x806 } },
    };
    check(ioctl(vcpu, KVM_SET_MSRS, &msrs), "KVM_SET_MSRS");
    done("KVM_SET_MSRS");
}

/* PVH: 32-bit protected mode with flat segments, no paging, ebx = the start info. */
static void set_registers(int vcpu, uint32_t entry)
{
    struct kvm_sregs s;
    struct kvm_segment data = { .limit = ~0u, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
    struct kvm_segment code = data;
    code.selector = 8, code.type = 0xb;
    check(ioctl(vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
    s.cs = code;
    s.ds = s.es = s.fs = s.gs = s.ss = data;
    s.tr = (struct kvm_segment) { .limit = 0x67, .type = 0xb, .present = 1 };
    s.cr0 = 0x11, s.cr4 = 0, s.efer = 0;
    check(ioctl(vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
    struct kvm_regs r = { .rip = entry, .rbx = START_INFO, .rflags = 2 };
    check(ioctl(vcpu, KVM_SET_REGS, &r), "KVM_SET_REGS");
    done("registers");
}

static void on_port(struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    if (run->io.direction == KVM_EXIT_IO_IN) memset(data, 0xff, (size_t)run->io.size * run->io.count);
    else if (run->io.port == 0xf4) finish(*data);
    else if (run->io.port == 0x3f8 && write(1, data, run->io.count) < 0) die("standard output");
}

static void run_guest(int vcpu, struct kvm_run *run)
{
    for (int first = 1;; first = 0) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0 && errno != EINTR && errno != EAGAIN) die("KVM_RUN");
        if (first) done("KVM_RUN to the first exit");
        switch (run->exit_reason) {
        case KVM_EXIT_IO: on_port(run); break;
        case KVM_EXIT_MMIO: if (!run->mmio.is_write) memset(run->mmio.data, 0xff, sizeof run->mmio.data); break;
        case KVM_EXIT_INTR: break;
        default: fprintf(stderr, "floor: the guest crashed, exit reason %u\n", run->exit_reason); finish(123);
        }
    }
}

int main(int argc, char **argv)
{
    int bad = 0, full = 0, cpuid = 1;
    uint64_t size = 128;
    const char *guest = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--bad-order")) bad = full = 1;
        else if (!strcmp(argv[i], "--full-irqchip")) full = 1;
        else if (!strcmp(argv[i], "--no-cpuid")) cpuid = 0;
        else if (!strcmp(argv[i], "--timeline")) timeline = 1;
        else if (!strcmp(argv[i], "--memory") && i + 1 < argc) size = strtoul(argv[++i], NULL, 10);
        else guest = argv[i];
    }
    if (!guest || argv[argc - 1][0] == '-' || size < 2) return fprintf(stderr, "usage: floor [--no-cpuid] [--bad-order] [--full-irqchip] [--timeline] [--memory MIB] GUEST.elf\n"), 127;
    size <<= 20;

    start = now_us();
    int kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    int vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    done("KVM_CREATE_VM");
    int run_size = check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) die("guest memory");
    uint32_t entry = load(guest, memory, size);
    write_start_info(memory, size);
    done("guest loaded");

    if (!bad) add_memory(vm, memory, size);
    make_irqchip(vm, full);
    int vcpu = make_vcpu(kvm, vm, cpuid);
    if (bad) add_memory(vm, memory, size);
    struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED) die("kvm_run");
    set_msrs(vcpu);
    set_registers(vcpu, entry);
    run_guest(vcpu, run);
}
