/* Starts programs in turn, many times, and says how long each took.

   harness [--json FILE] [--warm N] CASE...      CASE: NAME RUNS EXPECTED-STATUS COMMAND... ';'

   One round starts every case that still has runs to do, spread evenly over the rounds, so that a change in the
   machine's mood meets all of them. Standard output is a pipe that the harness reads, standard error goes to a file
   that is shown when a case fails. Measured with CLOCK_MONOTONIC from just before posix_spawn:
     first  the reader of the pipe has the first byte (empty if the program writes none)
     end    waitpid has returned; this includes tearing the machine down
   and by wait4: CPU time and page faults. The first case is the one that ratios are taken to.
   Standard output of the harness: one Markdown table. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CASES = 16, MAX_RUNS = 2000 };

struct sample { double first, end, cpu; long faults; };
struct test {
    const char *name;
    int runs, status, done;
    char **command;
    struct sample samples[MAX_RUNS];
};

static struct test tests[MAX_CASES];
static int test_count;
static char errors[] = "/tmp/microvm-harness.XXXXXX";
static int errors_fd;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "harness: %s: %s\n", what, why);
    exit(1);
}

static double time_ms(struct timeval t) { return t.tv_sec * 1e3 + t.tv_usec / 1e3; }

static void complain(struct test *t, int status)
{
    char text[2048];
    long length = pread(errors_fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = 0;
    fprintf(stderr, "harness: %s ended with wait status 0x%x, not exit code %d\n%s", t->name, status, t->status, text);
    exit(1);
}

static struct sample run_once(struct test *t)
{
    extern char **environ;
    int fds[2], status;
    char buffer[4096], origin[32];
    pid_t pid;
    struct sample s = { .first = NAN };
    struct rusage usage;
    posix_spawn_file_actions_t actions;

    if (pipe2(fds, O_CLOEXEC) || ftruncate(errors_fd, 0)) fail("pipe", strerror(errno));
    lseek(errors_fd, 0, SEEK_SET);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_adddup2(&actions, errors_fd, 2);

    double start = now_ms();
    snprintf(origin, sizeof origin, "%.0f", start * 1e6);
    setenv("MICROVM_START_NS", origin, 1); /* where the time of microvm --timeline begins */
    int error = posix_spawnp(&pid, t->command[0], &actions, NULL, t->command, environ);
    if (error) fail(t->command[0], strerror(error));
    close(fds[1]);
    for (long n; (n = read(fds[0], buffer, sizeof buffer)) != 0;) {
        if (n < 0 && errno != EINTR) fail("read", strerror(errno));
        if (n > 0 && isnan(s.first)) s.first = now_ms() - start;
    }
    while (wait4(pid, &status, 0, &usage) < 0) if (errno != EINTR) fail("wait4", strerror(errno));
    s.end = now_ms() - start;
    s.cpu = time_ms(usage.ru_utime) + time_ms(usage.ru_stime);
    s.faults = usage.ru_minflt + usage.ru_majflt;
    close(fds[0]);
    posix_spawn_file_actions_destroy(&actions);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != t->status) complain(t, status);
    return s;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* min, p50, p99 (nearest rank) of one field of the samples. */
struct stats { double min, p50, p99; };

static struct stats stats_of(struct test *t, size_t field)
{
    static double values[MAX_RUNS];
    for (int i = 0; i < t->runs; i++) values[i] = *(double *)((char *)&t->samples[i] + field);
    qsort(values, t->runs, sizeof *values, compare);
    int high = (int)ceil(0.99 * t->runs) - 1;
    double middle = t->runs % 2 ? values[t->runs / 2] : (values[t->runs / 2 - 1] + values[t->runs / 2]) / 2;
    return (struct stats) { values[0], middle, values[high] };
}

static const char *number(double value)
{
    static char text[8][32];
    static int next;
    char *t = text[next++ % 8];
    if (isnan(value)) strcpy(t, "");
    else snprintf(t, sizeof text[0], "%.2f", value);
    return t;
}

static void print_table(void)
{
    double floor_end = stats_of(tests, offsetof(struct sample, end)).p50;
    printf("| program | runs | first byte min | p50 | p99 | end min | p50 | p99 | end: ratio | end: difference | CPU p50 | page faults |\n");
    printf("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (struct test *t = tests; t < tests + test_count; t++) {
        struct stats first = stats_of(t, offsetof(struct sample, first)), end = stats_of(t, offsetof(struct sample, end));
        printf("| %s | %d | %s | %s | %s | %s | **%s** | %s | %s | %+.2f | %s | %ld |\n", t->name, t->runs, number(first.min), number(first.p50),
            number(first.p99), number(end.min), number(end.p50), number(end.p99), number(end.p50 / floor_end), end.p50 - floor_end,
            number(stats_of(t, offsetof(struct sample, cpu)).p50), t->samples[t->runs / 2].faults);
    }
}

static void print_array(FILE *f, struct test *t, const char *name, size_t field)
{
    fprintf(f, ", \"%s\": [", name);
    for (int i = 0; i < t->runs; i++) {
        double value = *(double *)((char *)&t->samples[i] + field);
        fprintf(f, isnan(value) ? "%snull" : "%s%.4f", i ? ", " : "", value);
    }
    fprintf(f, "]");
}

static void write_json(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) fail(path, strerror(errno));
    fprintf(f, "{ \"unit\": \"ms\", \"cases\": [\n");
    for (int i = 0; i < test_count; i++) {
        fprintf(f, "  { \"name\": \"%s\"", tests[i].name);
        print_array(f, &tests[i], "first", offsetof(struct sample, first));
        print_array(f, &tests[i], "end", offsetof(struct sample, end));
        print_array(f, &tests[i], "cpu", offsetof(struct sample, cpu));
        fprintf(f, " }%s\n", i + 1 < test_count ? "," : "");
    }
    fprintf(f, "] }\n");
    fclose(f);
}

static void parse_case(char ***at)
{
    struct test *t = &tests[test_count++];
    char **a = *at;
    if (test_count > MAX_CASES || !a[0] || !a[1] || !a[2] || !a[3]) fail("arguments", "CASE is NAME RUNS EXPECTED-STATUS COMMAND... ';'");
    t->name = a[0], t->runs = atoi(a[1]), t->status = atoi(a[2]), t->command = a += 3;
    if (t->runs < 1 || t->runs > MAX_RUNS) fail(a[1], "runs must be 1 to 2000");
    while (*a && strcmp(*a, ";")) a++;
    if (*a) *a++ = NULL;
    *at = a;
}

int main(int argc, char **argv)
{
    const char *json = NULL;
    int warm = 3, rounds = 0;
    char **a = argv + 1;
    for (; *a && !strncmp(*a, "--", 2); a += 2) {
        if (a + 1 < argv + argc && !strcmp(*a, "--json")) json = a[1];
        else if (a + 1 < argv + argc && !strcmp(*a, "--warm")) warm = atoi(a[1]);
        else fail(*a, "unknown argument");
    }
    while (*a) parse_case(&a);
    if (!test_count) fail("arguments", "no case");
    if ((errors_fd = mkostemp(errors, O_CLOEXEC)) < 0) fail(errors, strerror(errno));
    unlink(errors);

    for (int i = 0; i < test_count; i++) {
        for (int w = 0; w < warm; w++) run_once(&tests[i]);
        if (tests[i].runs > rounds) rounds = tests[i].runs;
    }
    for (int round = 1; round <= rounds; round++) {
        for (struct test *t = tests; t < tests + test_count; t++)
            if ((long)t->done * rounds < (long)round * t->runs && t->done < t->runs) t->samples[t->done] = run_once(t), t->done++;
    }
    print_table();
    if (json) write_json(json);
}
