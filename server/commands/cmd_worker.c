/* cmd_worker.c - `anchord worker FOLDER`: one fine-tuning job in a process of its own.
 *
 * The folder holds config.json (train_config.h), whose `out` it is.  Standard output: the run's events (run_events.h).
 *
 * Standard input: a byte 'b' when the server has requests to answer, 'i' when it has none; its end is the server's end, and ours.
 * Between steps the worker waits while the server is busy, but never more than 19 times what the step took.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/num.h"
#include "engine/training/run_events.h"
#include "engine/training/run_folder.h"
#include "engine/training/trainer.h"
#include "server/commands/command.h"
#include "server/commands/worker_memory.h"

/* A worker that was killed with its server may hold the folder for a while. */
enum { CONFIG_MAX = 1 << 20, LEAST_SHARE = 20 /* one part in so many */, LAST_WORKER_S = 30 };

struct worker {
    bool busy, orphan;
    double told; /* clock_s() of the last progress line */
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    UNUSED(number);
    stopping = 1;
}

/* ---- who gives way to whom ---- */

static void give_way(void)
{
    FILE *f = fopen("/proc/self/oom_score_adj", "w");
    enum { IO_IDLE = 3 << 13, IO_PROCESS = 1 };
    if (f) {
        fputs("1000\n", f); /* before the server, if something has to go */
        fclose(f);
    }
    if (setpriority(PRIO_PROCESS, 0, 19) != 0 || syscall(SYS_ioprio_set, IO_PROCESS, 0, IO_IDLE) != 0)
        log_warn("worker", "cannot lower its own priority: %s", strerror(errno));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Reads what the server says, waiting for it at most so long. */
static void listen_to_server(struct worker *w, double seconds)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    char said[64];
    if (poll(&p, 1, (int)(seconds * 1000)) <= 0)
        return;
    ssize_t n = read(STDIN_FILENO, said, sizeof said);
    if (n == 0)
        w->orphan = true;
    for (ssize_t i = 0; i < n; i++)
        w->busy = said[i] == 'b';
}

static bool asked_to_stop(void *context)
{
    const struct worker *w = context;
    return stopping || w->orphan;
}

static void pace(double seconds, void *context)
{
    struct worker *w = context;
    double start = clock_s(), most = (LEAST_SHARE - 1) * seconds, waited = 0;
    listen_to_server(w, 0);
    while (w->busy && !asked_to_stop(w) && waited < most) {
        listen_to_server(w, most - waited < 0.1 ? most - waited : 0.1);
        waited = clock_s() - start;
    }
}

/* ---- what it tells ---- */

static void tell_line(const char *line, void *context)
{
    UNUSED(context);
    puts(line);
    fflush(stdout);
}

static void say(struct json_writer *w)
{
    jw_end(w);
    tell_line(w->buf->data, NULL);
    buf_clear(w->buf);
}

static void tell_progress(const struct train_progress *p, void *context)
{
    struct worker *w = context;
    struct buf line = {0};
    double now = clock_s();
    if (strcmp(p->doing, "training") != 0 || now - w->told < 1)
        return;
    w->told = now;
    struct json_writer j = run_event_begin(&line, EVENT_PROGRESS);
    jw_int(&j, "step", (int64_t)p->done);
    jw_int(&j, "steps", (int64_t)p->all);
    jw_real(&j, "loss", p->loss);
    jw_real(&j, "images_per_second", p->rate);
    jw_real(&j, "seconds_left", p->seconds_left);
    say(&j);
}

static void say_failed(const char *code, const char *text)
{
    struct buf line = {0};
    struct json_writer j = run_event_begin(&line, EVENT_FAILED);
    jw_text(&j, "code", code);
    jw_text(&j, "message", text);
    say(&j);
}

static int tell_failure(const struct err *e)
{
    struct err told = *e;
    err_unfield(&told);
    say_failed(err_name(e->code), told.text);
    return command_failed(e);
}

static void end_over_memory(uint64_t used, uint64_t most)
{
    char text[160];
    snprintf(text, sizeof text,
             "it needs more memory than the %llu MB that it may have (%llu MB so far): lower batch_size, or raise "
             "job_memory_bytes",
             (unsigned long long)(most >> 20), (unsigned long long)(used >> 20));
    say_failed("out_of_memory", text);
    _exit(EXIT_FAILED);
}

static int tell_outcome(const struct train_outcome *o)
{
    struct buf line = {0};
    struct json_writer j = run_event_begin(&line, EVENT_OUTCOME);
    jw_text(&j, "end", train_end_name(o->end));
    jw_int(&j, "step", (int64_t)o->step);
    jw_int(&j, "best_step", (int64_t)o->best_step);
    jw_text(&j, "message", o->message);
    say(&j);
    return o->end == TRAIN_STOPPED ? EXIT_TRY_AGAIN : o->end == TRAIN_DIVERGED ? EXIT_FAILED : EXIT_DONE;
}

/* ---- the run ---- */

static bool read_job(const char *folder, struct train_config *c, struct manifest *m, struct manifest *validation,
                     struct err *e)
{
    char path[PATH_MAX];
    void *text;
    size_t len;
    if (!file_read(path_join(path, folder, RUN_CONFIG), CONFIG_MAX, &text, &len, e))
        return false;
    bool ok = train_config_parse(c, text, len, e);
    free(text);
    if (ok && !c->manifest)
        return err_field(e, "manifest", "is missing");
    return ok && manifest_read(m, c->manifest, e) && (!c->validation || manifest_read(validation, c->validation, e));
}

static int work(const char *folder)
{
    struct worker w = {0};
    struct train_config c = {0};
    struct manifest m = {0}, validation = {0};
    struct train_outcome out;
    struct err e = {0};
    bool ok = read_job(folder, &c, &m, &validation, &e) &&
              trainer_run(&(struct trainer_options){.config = &c,
                                                    .manifest = &m,
                                                    .validation = c.validation ? &validation : NULL,
                                                    .limits = image_default_limits,
                                                    .resume = true,
                                                    .lock_seconds = LAST_WORKER_S,
                                                    .stop = asked_to_stop,
                                                    .pace = pace,
                                                    .progress = tell_progress,
                                                    .listener = tell_line,
                                                    .context = &w},
                          &out, &e);
    int code = ok ? tell_outcome(&out) : tell_failure(&e);
    manifest_clear(&m);
    manifest_clear(&validation);
    train_config_clear(&c);
    return code;
}

int cmd_worker(int argc, char **argv)
{
    struct err e = {0};
    const char *limit = NULL;
    uint64_t memory = 0;
    const struct flag flags[] = {{.name = "memory", .text = &limit}};
    log_set_level(LOG_WARN);
    if (!flags_take(&argc, argv, flags, COUNT(flags), &e) ||
        !flag_number("memory", limit, 1 << 20, INT64_MAX, &memory, &e))
        return command_misused("worker", &e);
    if (argc != 1) {
        err_set(&e, ERR_BAD_INPUT, "worker takes one folder");
        return command_misused("worker", &e);
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for the server, which tells us */
    give_way();
    if (memory && !memory_bound(memory, end_over_memory, &e))
        return tell_failure(&e);
    return work(argv[0]);
}
