/* Opens queues of a multi_queue tap and starts a program that inherits them: open-tap TAP QUEUES PROGRAM ARGUMENTS... The first is descriptor 3. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 4) { fprintf(stderr, "open-tap TAP QUEUES PROGRAM ARGUMENTS...\n"); return 2; }
    int queues = atoi(argv[2]);
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
    strncpy(request.ifr_name, argv[1], IFNAMSIZ - 1);
    for (int i = 0; i < queues; i++) {
        int tap = open("/dev/net/tun", O_RDWR);
        if (tap != 3 + i) { perror("/dev/net/tun is not the next descriptor"); return 1; }
        if (ioctl(tap, TUNSETIFF, &request)) { perror(argv[1]); return 1; }
    }
    execvp(argv[3], argv + 3);
    perror(argv[3]);
    return 1;
}
