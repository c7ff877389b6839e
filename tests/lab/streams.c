/* Streams of sockets without end, for both sides of a machine.
   streams connect PORT  in the guest: opens streams to the host until one is refused, says how many, and keeps them.
   streams listen PATH   on the host: takes all that come, and keeps them. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/vm_sockets.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "connect")) {
        int count = 0;
        for (;; count++) {
            struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = atoi(argv[2]) };
            int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
            if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) break;
        }
        printf("@streams %d\n", count);
        fflush(stdout);
        pause();
    }
    if (argc == 3 && !strcmp(argv[1], "listen")) {
        struct sockaddr_un at = { .sun_family = AF_UNIX };
        strncpy(at.sun_path, argv[2], sizeof at.sun_path - 1);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 128)) return 1;
        while (accept(fd, 0, 0) >= 0) { }
        pause();
    }
    return 2;
}
