/* A vhost-user network backend for the lab: frames between a guest's two queues and a tap. vhost-user-tap SOCKET TAP.
 * Serves one guest after another; no protocol features, split rings without indirect descriptors or event indices. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { GET_FEATURES = 1, SET_MEM_TABLE = 5, SET_NUM = 8, SET_ADDR, SET_BASE, GET_BASE, SET_KICK, SET_CALL, SET_ERR };
enum { HEADER = 12, MAX_FRAME = 65600 };

struct desc { uint64_t addr; uint32_t len; uint16_t flags, next; };
struct avail { uint16_t flags, idx, ring[]; };
struct used { uint16_t flags, idx; struct { uint32_t id, len; } ring[]; };
struct region { uint64_t guest, size, user, offset; char *at; };
struct ring { uint32_t num; uint16_t last; int kick, call, err; struct desc *desc; struct avail *avail; struct used *used; };

static struct region regions[8];
static int region_count, tap;
static struct ring rings[2];

static void die(const char *what) { perror(what); exit(1); }

static void *reach(uint64_t address, uint64_t length, int user) {
    for (int i = 0; i < region_count; i++) {
        uint64_t start = user ? regions[i].user : regions[i].guest;
        if (address >= start && address - start < regions[i].size && length <= regions[i].size - (address - start)) return regions[i].at + (address - start);
    }
    fprintf(stderr, "no memory at %llx\n", (unsigned long long)address);
    exit(1);
}

static int pop(struct ring *r, struct iovec *vector, int *count) {
    if (r->last == __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE)) return -1;
    int head = r->avail->ring[r->last % r->num], i = head;
    for (*count = 0; *count < 64; i = r->desc[i].next) {
        vector[(*count)++] = (struct iovec){ reach(r->desc[i].addr, r->desc[i].len, 0), r->desc[i].len };
        if (!(r->desc[i].flags & 1)) break;
    }
    return head;
}

static void push(struct ring *r, int head, uint32_t length) {
    r->last++;
    r->used->ring[r->used->idx % r->num].id = head;
    r->used->ring[r->used->idx % r->num].len = length;
    __atomic_store_n(&r->used->idx, r->used->idx + 1, __ATOMIC_RELEASE);
    uint64_t one = 1;
    if (!(r->avail->flags & 1) && write(r->call, &one, 8) != 8) die("call");
}

static void transmit(struct ring *r) {
    struct iovec vector[64];
    int count, head;
    static char frame[MAX_FRAME];
    while ((head = pop(r, vector, &count)) >= 0) {
        size_t length = 0;
        for (int i = 0; i < count && length + vector[i].iov_len <= MAX_FRAME; i++) { memcpy(frame + length, vector[i].iov_base, vector[i].iov_len); length += vector[i].iov_len; }
        if (length > HEADER && write(tap, frame + HEADER, length - HEADER) < 0 && errno != EIO && errno != EAGAIN) die("tap");
        push(r, head, 0);
    }
}

static void receive(struct ring *r) {
    static char frame[MAX_FRAME];
    struct iovec vector[64];
    int count, head;
    ssize_t length;
    while ((length = read(tap, frame + HEADER, MAX_FRAME - HEADER)) > 0) {
        if (!r->avail || r->kick < 0 || (head = pop(r, vector, &count)) < 0) continue; /* no buffer: the frame is lost */
        memset(frame, 0, HEADER);
        frame[10] = 1; /* buffers that it fills */
        size_t done = 0, total = length + HEADER;
        for (int i = 0; i < count && done < total; i++) {
            size_t part = total - done < vector[i].iov_len ? total - done : vector[i].iov_len;
            memcpy(vector[i].iov_base, frame + done, part);
            done += part;
        }
        push(r, head, done);
    }
}

static void take(int *place, int fd) { if (*place >= 0) close(*place); *place = fd; }

static void forget(void) {
    for (int i = 0; i < region_count; i++) munmap(regions[i].at, regions[i].size);
    region_count = 0;
    for (int i = 0; i < 2; i++) { take(&rings[i].kick, -1); take(&rings[i].call, -1); take(&rings[i].err, -1); rings[i].avail = 0; rings[i].last = 0; }
}

/* 0 when the other side is gone */
static int obey(int socket) {
    struct { uint32_t request, flags, size; } head;
    union { uint64_t u64; uint32_t u32[2]; struct { uint32_t index, flags; uint64_t desc, used, avail, log; } addr; struct { uint32_t count, padding; struct { uint64_t guest, size, user, offset; } row[8]; } memory; char bytes[512]; } body;
    char control[256];
    struct iovec vector = { &head, sizeof head };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    if (recvmsg(socket, &message, MSG_WAITALL) != sizeof head || head.size > sizeof body) return 0;
    if (head.size && recv(socket, &body, head.size, MSG_WAITALL) != (ssize_t)head.size) return 0;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    int *fds = rights ? (int *)CMSG_DATA(rights) : 0, fd = fds ? fds[0] : -1;
    struct ring *r = &rings[body.u32[0] & 1];
    uint32_t reply = 0;
    switch (head.request) {
    case GET_FEATURES: body.u64 = 1ull << 32 | 1ull << 15; reply = 8; break;
    case SET_MEM_TABLE:
        region_count = body.memory.count;
        for (int i = 0; i < region_count; i++) {
            regions[i] = (struct region){ body.memory.row[i].guest, body.memory.row[i].size, body.memory.row[i].user, body.memory.row[i].offset, 0 };
            regions[i].at = mmap(0, regions[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], regions[i].offset);
            if (regions[i].at == MAP_FAILED) die("mmap");
            close(fds[i]);
        }
        break;
    case SET_NUM: r->num = body.u32[1]; break;
    case SET_BASE: r->last = body.u32[1]; break;
    case SET_ADDR:
        r->desc = reach(body.addr.desc, r->num * sizeof(struct desc), 1);
        r->used = reach(body.addr.used, 4 + r->num * 8, 1);
        r->avail = reach(body.addr.avail, 4 + r->num * 2, 1);
        break;
    case SET_KICK: take(&r->kick, fd); break;
    case SET_CALL: take(&r->call, fd); break;
    case SET_ERR: take(&r->err, fd); break;
    case GET_BASE: body.u32[1] = r->last; take(&r->kick, -1); reply = 8; break;
    }
    if (!reply) return 1;
    head.flags = 1 | 4; head.size = reply;
    struct iovec out[2] = { { &head, sizeof head }, { &body, reply } };
    return writev(socket, out, 2) == (ssize_t)(sizeof head + reply);
}

int main(int count, char **words) {
    if (count != 3) { fprintf(stderr, "vhost-user-tap SOCKET TAP\n"); return 1; }
    struct ifreq interface = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    strncpy(interface.ifr_name, words[2], IFNAMSIZ - 1);
    if ((tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK)) < 0 || ioctl(tap, TUNSETIFF, &interface)) die(words[2]);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, words[1], sizeof address.sun_path - 1);
    unlink(words[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)) die(words[1]);
    for (int i = 0; i < 2; i++) rings[i].kick = rings[i].call = rings[i].err = -1;
    for (;;) {
        int guest = accept(listener, 0, 0), alive = 1;
        while (alive) {
            struct pollfd wait[] = { { guest, POLLIN, 0 }, { tap, POLLIN, 0 }, { rings[0].kick, POLLIN, 0 }, { rings[1].kick, POLLIN, 0 } };
            if (poll(wait, 4, -1) < 0) die("poll");
            uint64_t rung;
            for (int i = 0; i < 2; i++) if (wait[2 + i].revents && read(rings[i].kick, &rung, 8) != 8) die("kick");
            if (wait[3].revents) transmit(&rings[1]);
            if (wait[1].revents) receive(&rings[0]);
            if (wait[0].revents) alive = obey(guest);
        }
        forget();
        close(guest);
    }
}
