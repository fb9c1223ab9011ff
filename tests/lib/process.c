/* process.c - the program under test, run as a user runs it. */
#include "tests/lib/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/t.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/arch_resnet.h"
#include "engine/encoder.h"

extern char **environ;

enum { MAX_ARGS = 40, MAX_ENV = 300, RUN_MAX_S = 60 };

const char *program_path(void)
{
    static char path[512];
    const char *program = getenv("ANCHORD"), *build = getenv("B");
    if (program)
        return program;
    snprintf(path, sizeof path, "%s/anchord", build ? build : "build/release");
    return path;
}

/* ---- the small model ---- */

static char model_path[256];

static void remove_model(void)
{
    char dir[256];
    snprintf(dir, sizeof dir, "%s", model_path);
    unlink(dir);
    *strrchr(dir, '/') = 0;
    rmdir(dir);
}

struct model *small_model_of(uint64_t seed)
{
    struct err e = {0};
    struct arch arch = RESNET(18, SMALL2, 8, 0);
    struct preprocess pre = preprocess_imagenet;
    pre.resize = 36;
    pre.size = 32;
    struct model *m = model_new_random(&arch, &pre, seed, &e);
    if (!m || !encoder_make_goldens(m, &e)) {
        fprintf(stderr, "cannot make the small model: %s\n", e.text);
        exit(1);
    }
    return m;
}

const char *small_model(void)
{
    if (model_path[0])
        return model_path;
    struct err e = {0};
    const char *base = getenv("TMPDIR");
    char dir[200];
    snprintf(dir, sizeof dir, "%s/anchord-model-XXXXXX", base ? base : "/tmp");
    struct model *m = small_model_of(SMALL_MODEL_SEED);
    if (!mkdtemp(dir)) {
        perror(dir);
        exit(1);
    }
    snprintf(model_path, sizeof model_path, "%s/small.safetensors", dir);
    if (!model_save(m, model_path, &e)) {
        fprintf(stderr, "cannot write the small model: %s\n", e.text);
        exit(1);
    }
    atexit(remove_model);
    model_free(m);
    return model_path;
}

/* ---- starting ---- */

/* Ours without the settings of the program, then `more`, which wins. */
static void fill_env(char **env, const char *const *more)
{
    size_t n = 0;
    for (size_t i = 0; more && more[i] && n < MAX_ENV; i++)
        env[n++] = mem_text(more[i]);
    for (char **p = environ; *p && n < MAX_ENV; p++)
        if (strncmp(*p, "ANCHORD_", 8) != 0)
            env[n++] = mem_text(*p);
    env[n] = NULL;
}

static void free_list(char **list)
{
    for (char **p = list; *p; p++)
        free(*p);
}

static pid_t spawn(char *const *args, const char *const *more_env, int out, int err)
{
    char *env[MAX_ENV + 1];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    pid_t pid = -1;
    fill_env(env, more_env);
    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, err, 2);
    int rc = posix_spawnp(&pid, args[0], &files, &attr, args, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    free_list(env);
    return rc == 0 ? pid : -1;
}

/* Reads the listening line, byte by byte: what follows it stays in the pipe. */
static bool read_line(int fd, char *line, size_t size, double deadline)
{
    size_t n = 0;
    while (n + 1 < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        double left = deadline - clock_s();
        if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) < 0)
            return false;
        if (!p.revents)
            continue;
        ssize_t got = read(fd, line + n, 1);
        if (got <= 0)
            return false;
        if (line[n] == '\n') {
            line[n] = 0;
            return true;
        }
        n++;
    }
    return false;
}

static uint16_t port_of(const char *url)
{
    const char *colon = url ? strrchr(url, ':') : NULL;
    return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

static bool parse_listening(char *line, struct server *s)
{
    char public_url[128], admin_url[128];
    if (sscanf(line, "listening %127s admin %127s", public_url, admin_url) != 2)
        return false;
    s->port = port_of(public_url);
    s->admin = port_of(admin_url);
    return s->port && s->admin;
}

static bool prepare_dir(struct server *s, const char *dir, struct err *e)
{
    if (dir) {
        snprintf(s->dir, sizeof s->dir, "%s", dir);
    } else {
        const char *base = getenv("TMPDIR");
        char scratch[200];
        snprintf(scratch, sizeof scratch, "%s/anchord-http-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(scratch))
            return err_sys(e, "making %s", scratch);
        snprintf(s->dir, sizeof s->dir, "%s/data", scratch);
        s->own_dir = true;
    }
    snprintf(s->log, sizeof s->log, "%s.log", s->dir);
    return true;
}

static void add_arg(char **args, const char *text)
{
    size_t n = 0;
    while (args[n])
        n++;
    if (n < MAX_ARGS - 1)
        args[n] = mem_text(text);
}

static void fill_args(char **args, const struct server *s, const struct server_options *o)
{
    const char *const fixed[] = {program_path(), "serve",       "--data",         s->dir,
                                 "--listen",     "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"};
    for (size_t i = 0; o->under && o->under[i]; i++)
        add_arg(args, o->under[i]);
    for (size_t i = 0; i < COUNT(fixed); i++)
        add_arg(args, fixed[i]);
    if (!o->model || o->model[0]) {
        add_arg(args, "--model");
        add_arg(args, o->model ? o->model : small_model());
    }
    if (!o->model) {
        add_arg(args, "--precision");
        add_arg(args, "fp32");
    }
    for (size_t i = 0; o->args && o->args[i]; i++)
        add_arg(args, o->args[i]);
}

const char *server_log_end(const struct server *s, char *out, size_t size)
{
    void *bytes = NULL;
    size_t len = 0;
    struct err ignored = {0};
    out[0] = 0;
    if (file_read(s->log, 64u << 20, &bytes, &len, &ignored)) {
        size_t n = min_size(len, size - 1);
        snprintf(out, size, "%s", (char *)bytes + len - n);
    }
    free(bytes);
    return out;
}

/* ---- what a failed test leaves running ends with the test program ---- */

enum { RUNNING_MAX = 16 };
static pid_t running[RUNNING_MAX]; /* 0: free */

static void kill_running(void)
{
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (running[i] > 0)
            kill(running[i], SIGKILL);
}

static void replace_running(pid_t old, pid_t new)
{
    static bool registered;
    if (!registered)
        registered = atexit(kill_running) == 0;
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (running[i] == old) {
            running[i] = new;
            return;
        }
}

/* Runs it and reads its first line; s->log and s->dir are set.  False with the end of the log. */
static bool launch(struct server *s, char *const *args, const char *const *env, double timeout, char *line, size_t size,
                   struct err *e)
{
    int out[2] = {-1, -1};
    bool ok = false;
    int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || pipe2(out, O_CLOEXEC) != 0) {
        err_sys(e, "opening %s", s->log);
        goto done;
    }
    double start = clock_s();
    pid_t pid = spawn(args, env, out[1], log);
    close(out[1]);
    out[1] = -1;
    if (pid < 0) {
        err_set(e, ERR_IO, "cannot run %s", args[0]);
        goto done;
    }
    s->pid = pid;
    replace_running(0, pid);
    ok = read_line(out[0], line, size, start + t_timeout(timeout));
    s->ready_s = clock_s() - start;
    s->out = out[0];
    out[0] = -1;

done:
    for (int i = 0; i < 2; i++)
        if (out[i] >= 0)
            close(out[i]);
    if (log >= 0)
        close(log);
    return ok;
}

/* It printed no line, or the wrong one: how it ended, and what it said. */
static bool not_listening(struct server *s, int *exit_status, struct err *e)
{
    char tail[160];
    int status = s->pid > 0 ? server_wait(s, 5) : 0;
    if (exit_status)
        *exit_status = status;
    if (status == STATUS_STILL_RUNNING)
        server_kill(s);
    return err_set(e, ERR_INTERNAL, "it did not listen (status %d): %s", status, server_log_end(s, tail, sizeof tail));
}

bool server_start_status(struct server *s, const struct server_options *o, int *exit_status, struct err *e)
{
    char *args[MAX_ARGS] = {NULL}, line[400];
    *s = (struct server){.out = -1};
    if (!prepare_dir(s, o->dir, e))
        return false;
    fill_args(args, s, o);
    bool ok =
        launch(s, args, o->env, o->timeout > 0 ? o->timeout : 60, line, sizeof line, e) && parse_listening(line, s);
    free_list(args);
    return ok || not_listening(s, exit_status, e);
}

bool command_start(struct server *s, const char *const *command, double timeout, struct err *e)
{
    char *args[MAX_ARGS] = {NULL}, line[400] = "";
    *s = (struct server){.out = -1};
    if (!prepare_dir(s, NULL, e))
        return false;
    for (size_t i = 0; command[i]; i++)
        add_arg(args, command[i]);
    bool ok = launch(s, args, NULL, timeout, line, sizeof line, e) && strncmp(line, "listening", 9) == 0;
    free_list(args);
    return ok || not_listening(s, NULL, e);
}

bool server_start(struct server *s, const struct server_options *o, struct err *e)
{
    return server_start_status(s, o, NULL, e);
}

/* ---- stopping ---- */

static int status_of(int raw)
{
    return WIFSIGNALED(raw) ? -WTERMSIG(raw) : WEXITSTATUS(raw);
}

int server_wait(struct server *s, double timeout)
{
    double deadline = clock_s() + t_timeout(timeout);
    int raw = 0;
    if (s->pid <= 0)
        return STATUS_STILL_RUNNING;
    for (;;) {
        pid_t got = waitpid(s->pid, &raw, WNOHANG);
        if (got == s->pid)
            break;
        if (clock_s() > deadline)
            return STATUS_STILL_RUNNING;
        usleep(1000);
    }
    replace_running(s->pid, 0);
    s->pid = 0;
    if (s->out >= 0)
        close(s->out);
    s->out = -1;
    return status_of(raw);
}

void server_signal(struct server *s, int sig)
{
    if (s->pid > 0)
        kill(s->pid, sig);
}

int server_kill(struct server *s)
{
    server_signal(s, SIGKILL);
    return server_wait(s, 30);
}

int server_stop(struct server *s)
{
    server_signal(s, SIGTERM);
    int status = server_wait(s, 60);
    if (status == STATUS_STILL_RUNNING)
        server_kill(s);
    return status;
}

void server_remove(struct server *s)
{
    char command[600];
    server_kill(s);
    if (!s->own_dir)
        return;
    *strrchr(s->dir, '/') = 0;
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", s->dir);
    s->own_dir = false;
}

/* ---- measuring ---- */

/* The number after `name` in /proc/PID/status; 0 when there is none. */
static size_t status_number(const struct server *s, const char *name)
{
    char path[64], line[256];
    size_t value = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)s->pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoul(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return value;
}

size_t server_rss(const struct server *s)
{
    return status_number(s, "VmRSS:") * 1024;
}

size_t server_peak(const struct server *s)
{
    return status_number(s, "VmHWM:") * 1024;
}

size_t server_threads(const struct server *s)
{
    return status_number(s, "Threads:");
}

size_t server_fds(const struct server *s)
{
    char path[64], target[4096];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)s->pid);
    DIR *d = opendir(path);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        ssize_t len = readlinkat(dirfd(d), entry->d_name, target, sizeof target - 1);
        target[len > 0 ? len : 0] = 0;
        n += len > 0 && !strstr(target, "/anchord.db");
    }
    if (d)
        closedir(d);
    return n;
}

double server_cpu(const struct server *s)
{
    char path[64], line[1024];
    unsigned long user = 0, sys = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)s->pid);
    FILE *f = fopen(path, "r");
    if (f && fgets(line, sizeof line, f) && strrchr(line, ')'))
        sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
    if (f)
        fclose(f);
    return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

bool server_alive(struct server *s)
{
    siginfo_t info = {0};
    return s->pid > 0 && waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

size_t server_log_count(const struct server *s, const char *text)
{
    void *bytes = NULL;
    size_t len = 0, n = 0;
    struct err ignored = {0};
    if (!file_read(s->log, 1u << 30, &bytes, &len, &ignored))
        return 0;
    const char *at = bytes, *end = at + len;
    while ((at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
        n++;
        at++;
    }
    free(bytes);
    return n;
}

int program_run(const char *const *args, const char *const *env, char **out)
{
    char *list[MAX_ARGS] = {mem_text(program_path())}, chunk[4096];
    int ends[2], raw = 0;
    size_t n = 1;
    struct buf b = {0};
    for (; *args && n < MAX_ARGS - 1; args++)
        list[n++] = mem_text(*args);
    list[n] = NULL;
    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    pid_t pid = spawn(list, env, ends[1], ends[1]);
    close(ends[1]);
    double deadline = clock_s() + t_patience(RUN_MAX_S);
    for (ssize_t got = 1; got > 0;) {
        struct pollfd p = {.fd = ends[0], .events = POLLIN};
        if (poll(&p, 1, 1000) > 0 && (got = read(ends[0], chunk, sizeof chunk)) > 0)
            buf_add(&b, chunk, (size_t)got);
        if (clock_s() > deadline && pid > 0)
            kill(pid, SIGKILL);
    }
    close(ends[0]);
    if (pid > 0)
        waitpid(pid, &raw, 0);
    free_list(list);
    if (out)
        *out = buf_take(&b, NULL);
    buf_clear(&b);
    return pid > 0 ? status_of(raw) : STATUS_STILL_RUNNING;
}
