/* job_runner.c - the thread of the jobs: one after the other, each in a worker, until the server ends. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "api/jobs/jobs_parts.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

enum {
    CRASHES_MOST = 1, /* that are tried again */
    POLL_MS = 20,
    STOP_MS = 1500, /* after SIGTERM, before SIGKILL */
    STILL_BUSY_NS = 200000000,
    METRICS_MOST = 500
};

/* ---- telling ---- */

/* ---- the worker's lines ---- */

static int64_t int_of(const struct json *v, const char *key)
{
    int64_t x = 0;
    json_as_int(json_member(v, key), &x);
    return x;
}

static double real_of(const struct json *v, const char *key)
{
    double x = 0;
    json_as_number(json_member(v, key), &x);
    return x;
}

/* Steps are told so often that a long run fills no more than its part of the events, whether steps or minutes end it. */
static void hear_step(struct job_run *r, const struct json *v, const char *line)
{
    char text[160];
    uint64_t step = (uint64_t)int_of(v, "step"), total = (uint64_t)int_of(v, "steps");
    double now = clock_s(), whole = now - r->first_told_s + real_of(v, "seconds_left");
    if (r->told_s > 0 && now - r->told_s < whole / METRICS_MOST)
        return;
    if (r->told_s <= 0)
        r->first_told_s = now;
    r->told_s = now;
    snprintf(text, sizeof text, "step %llu of %llu: loss %.4g, %.0f images/s, %.0f s left", (unsigned long long)step,
             (unsigned long long)total, real_of(v, "loss"), real_of(v, "images_per_second"),
             real_of(v, "seconds_left"));
    job_tell_event(r, "info", "metrics", text, line);
}

static void hear_evaluation(struct job_run *r, const struct json *v, const char *line)
{
    char text[160];
    bool best = false;
    json_as_bool(json_member(v, "best"), &best);
    snprintf(text, sizeof text, "judged at step %lld: score %.4f%s", (long long)int_of(v, "step"),
             real_of(json_member(v, "figures"), "score"), best ? ", the best so far" : "");
    job_tell_event(r, "info", "metrics", text, line);
}

static void hear_failure(struct job_run *r, const struct json *v)
{
    const char *code = json_as_text(json_member(v, "code"), NULL),
               *text = json_as_text(json_member(v, "message"), NULL);
    job_fail(r, code ? code : "internal_error", "%s", text ? text : "it did not say why");
}

static void hear(const char *line, void *context)
{
    struct job_run *r = context;
    struct json *v = json_parse(line, strlen(line), 0, NULL);
    const char *text = json_as_text(json_member(v, "message"), NULL);
    if (!json_as_text(json_member(v, "event"), NULL))
        log_warn("job_line", "id=%s the worker said something that is no event", r->job->id);
    switch (run_event_of(v)) {
    case EVENT_PROGRESS: hear_step(r, v, line); break;
    case EVENT_EVALUATION: hear_evaluation(r, v, line); break;
    case EVENT_WARNING: job_tell(r, "warn", "%s", text ? text : ""); break;
    case EVENT_RESUME:
        job_tell(r, "info", "going on from the checkpoint of step %lld", (long long)int_of(v, "step"));
        break;
    case EVENT_FAILED: hear_failure(r, v); break;
    case EVENT_OUTCOME: r->outcome = train_end_parse(json_member(v, "end")); break;
    case EVENT_END:
        free(r->end);
        r->end = mem_text(line);
        break;
    case EVENT_START:
    case EVENT_STEP:
    case EVENT_SAVED:
    case EVENT_UNKNOWN: break;
    }
    json_free(v);
}

/* ---- one worker ---- */

/* A worker runs at the lowest priority, so it only takes cores that no request wants: it is in the way when some wait. */
static bool requests_wait(const struct jobs *x)
{
    return demand_exceeds(&x->app->demand, x->cores, x->o.max_p99_us);
}

/* Requests wait, or did a moment ago: short gaps are no reason to begin. */
static void govern(struct job_run *r)
{
    int64_t now = clock_ns();
    if (requests_wait(r->jobs))
        r->busy_until = now + STILL_BUSY_NS;
    job_process_set_busy(&r->process, now < r->busy_until);
}

/* Until it has closed its output; asked to stop, it gets a moment to save where it is. */
static void attend(struct job_run *r)
{
    int64_t deadline = 0;
    while (job_process_read(&r->process, POLL_MS, hear, r)) {
        govern(r);
        if (!deadline && job_is_to_stop(r)) {
            deadline = clock_ns() + (int64_t)STOP_MS * 1000000;
            job_process_signal(&r->process, SIGTERM);
        }
        if (deadline && clock_ns() > deadline) {
            job_process_signal(&r->process, SIGKILL);
            return;
        }
    }
}

/* Runs it to its end; epitaph: how it ended when it said nothing itself. */
static bool run_worker(struct job_run *r, char epitaph[240], struct err *e)
{
    int status = 0;
    r->outcome = TRAIN_UNENDED;
    r->failure[0] = 0;
    if (!job_process_start(&r->process, r->jobs->program, r->folder, r->jobs->o.memory, e))
        return false;
    attend(r);
    if (!job_process_gone(&r->process, STOP_MS, &status))
        job_process_signal(&r->process, SIGKILL);
    job_process_gone(&r->process, STOP_MS, &status);
    job_process_epitaph(&r->process, status, epitaph, 240);
    job_process_end(&r->process);
    return true;
}

/* Whether the server's own end, which may reach the worker first, comes within a moment. */
static bool was_ours_to_stop(struct job_run *r)
{
    for (int waited = 0; waited < STOP_MS && !job_is_to_stop(r); waited += POLL_MS)
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    return job_is_to_stop(r);
}

/* False: it died without a word, or somebody else stopped it, and it is to be started again. */
static bool try_worker(struct job_run *r)
{
    char epitaph[240];
    struct err e = {0};
    if (!run_worker(r, epitaph, &e)) {
        job_fail(r, err_name(e.code), "%s", e.text);
        return true;
    }
    if (r->outcome == TRAIN_STOPPED && !was_ours_to_stop(r)) {
        job_tell(r, "warn", "somebody stopped the worker; it is started again from where it was");
        return false;
    }
    if (r->outcome || r->failure[0] || job_is_to_stop(r))
        return true;
    pthread_mutex_lock(&r->jobs->lock);
    bool again = r->job->crashes++ < CRASHES_MOST;
    (void)jobs_changed(r->jobs, r->job, NULL);
    pthread_mutex_unlock(&r->jobs->lock);
    log_warn("job_worker_died", "id=%s %s", r->job->id, epitaph);
    if (again)
        job_tell(r, "warn", "the worker died (%s); it is started again from the last checkpoint", epitaph);
    else
        job_fail(r, "worker_died", "the worker died again: %s", epitaph);
    return !again;
}

/* ---- one job ---- */

/* False: its file does not say so yet. */
static bool set_status(struct job_run *r, enum job_status status)
{
    struct job *j = r->job;
    pthread_mutex_lock(&r->jobs->lock);
    j->status = status;
    if (status == JOB_RUNNING && !j->started_at)
        j->started_at = clock_unix();
    if (job_is_over(j))
        j->finished_at = clock_unix();
    snprintf(j->error_code, sizeof j->error_code, "%s", r->failure_code);
    snprintf(j->error, sizeof j->error, "%s", r->failure);
    bool saved = jobs_changed(r->jobs, j, NULL);
    pthread_mutex_unlock(&r->jobs->lock);
    return saved;
}

static bool is_cancelled(struct job_run *r)
{
    pthread_mutex_lock(&r->jobs->lock);
    bool cancelled = r->job->cancel;
    pthread_mutex_unlock(&r->jobs->lock);
    return cancelled;
}

/* A job that the server's own end interrupts stays as it is, and goes on at the next start. */
static void conclude(struct job_run *r)
{
    bool ended = train_end_is_whole(r->outcome) || r->outcome == TRAIN_DIVERGED;
    if (ended && r->end && !r->failure[0])
        job_finish(r);
    if (r->outcome == TRAIN_DIVERGED && !r->failure[0])
        job_fail(r, "diverged", "the loss was no number any more: lower the learning rate");
    if (!ended && !r->failure[0] && !is_cancelled(r))
        return;
    bool failed = r->failure[0] != 0, cancelled = !ended && !failed;
    if (failed)
        job_tell(r, "error", "failed: %s", r->failure);
    else
        job_tell(r, "info", cancelled ? "cancelled" : "succeeded");
    /* In this order: a job that is not over needs its pictures, and jobs_open() makes up for what was not cleaned. */
    if (set_status(r, failed ? JOB_FAILED : cancelled ? JOB_CANCELLED : JOB_SUCCEEDED))
        job_clean(r->folder);
    log_info("job_over", "id=%s status=%s", r->job->id, job_status_name(r->job->status));
}

static void run_job(struct jobs *x, struct job *j)
{
    struct job_run r = {.jobs = x, .job = j, .process = {.in = -1, .out = -1, .err = -1}};
    struct err e = {0};
    jobs_folder(x, j->id, r.folder);
    if (!job_events_count(r.folder, &r.events, &e))
        log_warn("job_events", "id=%s %s", j->id, e.text);
    bool first = !j->started_at;
    (void)set_status(&r, JOB_RUNNING);
    log_info("job_begins", "id=%s", j->id);
    job_tell(&r, "info", first ? "started" : "the server was started anew");
    if (!job_is_to_stop(&r) && !job_prepare(&r, &e))
        job_fail(&r, err_name(e.code), "%s", e.text);
    while (!r.failure[0] && !job_is_to_stop(&r) && !try_worker(&r))
        ;
    conclude(&r);
    free(r.end);
}

/* The one that ran before a restart, else the one that waits longest. */
static struct job *next_job(struct jobs *x)
{
    struct job *found = NULL;
    for (size_t i = x->n; i-- > 0;)
        if (!job_is_over(x->items[i]) && (!found || found->status == JOB_QUEUED || x->items[i]->status == JOB_RUNNING))
            found = x->items[i];
    return found;
}

void *jobs_run(void *context)
{
    struct jobs *x = context;
    pthread_mutex_lock(&x->lock);
    while (!x->stop) {
        struct job *j = demand_is_draining(&x->app->demand) ? NULL : next_job(x);
        if (!j) {
            pthread_cond_wait(&x->changed, &x->lock);
            continue;
        }
        x->current = j;
        j->status = JOB_RUNNING; /* from here on a cancellation is ours to see */
        pthread_mutex_unlock(&x->lock);
        run_job(x, j);
        pthread_mutex_lock(&x->lock);
        bool goes_on = j->status == JOB_RUNNING;
        x->current = NULL; /* it may be deleted from now on */
        pthread_cond_broadcast(&x->changed);
        if (goes_on && !x->stop) /* draining: nothing more is begun */
            pthread_cond_wait(&x->changed, &x->lock);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}
