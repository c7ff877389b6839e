/* Times a program's output in the lab: stopwatch [--verbose] [--timeout S] TEXT COMMAND...

   Prints one line on standard error: `line=MS end=MS status=N`. line: from just before the program is started to the
   end of the first line of its standard output that contains TEXT ('none' if no line does). end: to its end. status:
   its exit code, or 128 plus the signal. --verbose passes its output on. After the time-out (120) it is killed. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char line[4096];
static int line_length;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* Takes bytes of output; 1 when a line with the text is complete. A longer line is looked at in parts. */
static int take(const char *bytes, long count, const char *text)
{
    int found = 0;
    for (long i = 0; i < count; i++) {
        if (bytes[i] != '\n' && line_length < (int)sizeof line - 1) {
            line[line_length++] = bytes[i] ? bytes[i] : ' ';
            continue;
        }
        line[line_length] = 0;
        found |= strstr(line, text) != NULL;
        line_length = 0;
    }
    return found;
}

static pid_t start(char **command, int *out)
{
    int fds[2];
    if (pipe(fds)) exit(125);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        execvp(command[0], command);
        perror(command[0]);
        _exit(125);
    }
    close(fds[1]);
    *out = fds[0];
    return pid;
}

int main(int argc, char **argv)
{
    int verbose = 0, timeout = 120, out, status;
    char **a = argv + 1;
    for (; argv + argc > a + 2; a++) {
        if (!strcmp(*a, "--verbose")) verbose = 1;
        else if (!strcmp(*a, "--timeout")) timeout = atoi(*++a);
        else break;
    }
    if (argv + argc < a + 2) return fputs("usage: stopwatch [--verbose] [--timeout S] TEXT COMMAND...\n", stderr), 127;
    const char *text = *a++;

    double begin = now_ms(), at = -1;
    pid_t pid = start(a, &out);
    for (;;) {
        char buffer[4096];
        int left = (int)(begin + timeout * 1e3 - now_ms());
        struct pollfd p = { .fd = out, .events = POLLIN };
        if (left <= 0 || poll(&p, 1, left) == 0) {
            kill(pid, SIGKILL);
            break;
        }
        long n = read(out, buffer, sizeof buffer);
        if (n == 0 || (n < 0 && errno != EINTR)) break;
        if (n > 0 && take(buffer, n, text) && at < 0) at = now_ms() - begin;
        if (n > 0 && verbose && write(1, buffer, n) < 0) break;
    }
    waitpid(pid, &status, 0);
    double end = now_ms() - begin;
    char found[32] = "none";
    if (at >= 0) snprintf(found, sizeof found, "%.1f", at);
    fprintf(stderr, "line=%s end=%.1f status=%d\n", found, end, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
