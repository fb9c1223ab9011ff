/* job_process.c - spawning and hearing a worker. */
#include "api/jobs/job_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"

enum { LINE_MAX_BYTES = 1 << 20, WORDS_MAX = 4096 };

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ours[i] and theirs[i]: ends of the pipe of descriptor i. */
static bool make_pipes(int ours[3], int theirs[3], struct err *e)
{
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            return err_sys(e, "making a pipe");
        ours[i] = ends[i == 0 ? 1 : 0];
        theirs[i] = ends[i == 0 ? 0 : 1];
        fcntl(ours[i], F_SETFL, O_NONBLOCK);
    }
    return true;
}

/* No signal is blocked or ignored in it, whatever this thread does. */
static int spawn(pid_t *pid, const char *program, const char *const *args, const int theirs[3])
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&files, theirs[i], i);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    /* execv() takes its arguments as they are: the cast is that of POSIX's own interface */
    int rc = posix_spawn(pid, program, &files, &attributes, (char *const *)(uintptr_t)args, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

bool job_process_start(struct job_process *p, const char *program, const char *folder, uint64_t memory, struct err *e)
{
    int ours[3] = {-1, -1, -1}, theirs[3] = {-1, -1, -1};
    char limit[32];
    const char *args[] = {"anchord", "worker", folder, memory ? "--memory" : NULL, limit, NULL};

    snprintf(limit, sizeof limit, "%llu", (unsigned long long)memory);
    *p = (struct job_process){.in = -1, .out = -1, .err = -1};
    int rc = make_pipes(ours, theirs, e) ? spawn(&p->pid, program ? program : "/proc/self/exe", args, theirs) : -1;
    for (int i = 0; i < 3; i++)
        close_end(&theirs[i]);
    p->in = ours[0];
    p->out = ours[1];
    p->err = ours[2];
    if (rc == 0)
        return true;
    p->pid = 0;
    job_process_end(p);
    errno = rc > 0 ? rc : EIO;
    return err_sys(e, "starting the worker");
}

/* Takes the lines that are whole out of p->line. */
static void give_lines(struct job_process *p, void (*line)(const char *text, void *context), void *context)
{
    char *at = p->line.data, *newline;
    size_t left = p->line.len;
    while (left > 0 && (newline = memchr(at, '\n', left))) {
        *newline = 0;
        line(at, context);
        left -= (size_t)(newline + 1 - at);
        at = newline + 1;
    }
    if (left > 0)
        memmove(p->line.data, at, left);
    p->line.len = left < LINE_MAX_BYTES ? left : 0;
}

static void keep_words(struct job_process *p)
{
    char chunk[1024];
    ssize_t n;
    while ((n = read(p->err, chunk, sizeof chunk)) > 0) {
        buf_add(&p->words, chunk, (size_t)n);
        if (p->words.len > WORDS_MAX) {
            memmove(p->words.data, p->words.data + p->words.len - WORDS_MAX, WORDS_MAX);
            p->words.len = WORDS_MAX;
        }
    }
    if (n == 0)
        close_end(&p->err);
}

bool job_process_read(struct job_process *p, int milliseconds, void (*line)(const char *text, void *context),
                      void *context)
{
    struct pollfd ends[] = {{.fd = p->out, .events = POLLIN}, {.fd = p->err, .events = POLLIN}};
    char chunk[4096];
    ssize_t n = -1;
    if (p->out < 0)
        return false;
    if (poll(ends, COUNT(ends), milliseconds) <= 0)
        return true;
    if (ends[1].revents)
        keep_words(p);
    if (!ends[0].revents)
        return true;
    while ((n = read(p->out, chunk, sizeof chunk)) > 0)
        buf_add(&p->line, chunk, (size_t)n);
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_end(&p->out);
    give_lines(p, line, context);
    return p->out >= 0;
}

void job_process_set_busy(struct job_process *p, bool busy)
{
    if (p->told_busy == busy || p->in < 0)
        return;
    if (write(p->in, busy ? "b" : "i", 1) == 1) /* a full pipe is told again the next time */
        p->told_busy = busy;
}

void job_process_signal(struct job_process *p, int number)
{
    if (p->pid)
        kill(p->pid, number);
}

bool job_process_gone(struct job_process *p, int milliseconds, int *status)
{
    int64_t until = clock_ns() + (int64_t)milliseconds * 1000000;
    if (!p->pid)
        return true;
    for (;;) {
        pid_t got = waitpid(p->pid, status, WNOHANG);
        if (got == p->pid || (got < 0 && errno == ECHILD)) {
            p->pid = 0;
            return true;
        }
        if (clock_ns() >= until)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

void job_process_end(struct job_process *p)
{
    int status;
    if (p->pid) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, &status, 0);
    }
    close_end(&p->in);
    close_end(&p->out);
    close_end(&p->err);
    buf_clear(&p->line);
    buf_clear(&p->words);
    *p = (struct job_process){.in = -1, .out = -1, .err = -1};
}

/* The last line that has something in it. */
static const char *last_words(const struct job_process *p, size_t *len)
{
    const char *text = p->words.data;
    size_t end = p->words.len;
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == ' '))
        end--;
    size_t start = end;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    *len = end - start;
    return text ? text + start : "";
}

const char *job_process_epitaph(const struct job_process *p, int status, char *out, size_t size)
{
    size_t len;
    const char *words = last_words(p, &len);
    bool killed = WIFSIGNALED(status);
    snprintf(out, size, "%s %d%s%.*s", killed ? "killed by signal" : "exit code",
             killed ? WTERMSIG(status) : WEXITSTATUS(status), len ? ": " : "", (int)min_size(len, 160), words);
    return out;
}
