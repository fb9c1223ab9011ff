/* fine_tuning_stream.c - a job's events as they happen, as server-sent events. */
#include "api/requests/fine_tuning.h"

#include <limits.h>
#include <string.h>

#include "api/jobs/jobs.h"
#include "api/requests/fields.h"
#include "base/clock.h"

enum { PIECE = 32 << 10 };
#define HEARTBEAT_NS (INT64_C(15) * 1000000000)

struct follower { /* where a reader is; in the call's arena */
    char folder[PATH_MAX];
    uint64_t offset; /* in the file of events; the line there has number `number` */
    uint64_t number;
    uint64_t from;   /* number of the first event that the reader lacks */
    bool behind;     /* there was more to read than one piece */
    uint64_t seen;   /* jobs_version() before the last look */
    int64_t sent_at; /* clock_ns() */
};

static void write_event(struct buf *out, const struct follower *f, const char *job, const char *line, size_t len)
{
    char id[JOB_EVENT_ID_SIZE];
    job_event_id(f->number, job, id);
    buf_print(out, "id: %s\nevent: fine_tuning.job.event\ndata: ", id);
    buf_add(out, line, len);
    buf_text(out, "\n\n");
}

/* Takes the lines that there are, about one piece of them, and writes those that the reader lacks. */
static bool take_lines(struct call *c, struct follower *f, bool *more)
{
    struct buf lines = {0};
    bool ok = job_events_follow(f->folder, &f->offset, PIECE, &lines, &c->err);
    const char *at = lines.data, *end = at + lines.len;
    for (; at < end; f->number++) {
        size_t len = (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at);
        if (f->number >= f->from && job_event_is_whole(at, len))
            write_event(&c->response.body, f, c->params[0], at, len);
        at += len + 1;
    }
    *more = lines.len > 0;
    buf_clear(&lines);
    return ok;
}

static void write_done(struct buf *out, const struct job *j)
{
    struct json_writer w = jw_to(out);
    buf_text(out, "event: done\ndata: ");
    write_job(&w, j);
    buf_text(out, "\n\n");
}

static bool has_news(const struct call *c)
{
    const struct follower *f = c->scratch;
    return f->behind || jobs_version(c->app->jobs) != f->seen || clock_ns() - f->sent_at >= HEARTBEAT_NS;
}

/* What changes while we look is looked at again: the version comes first, then the job, then its events. */
static bool send_events(struct call *c)
{
    struct follower *f = c->scratch;
    struct buf *out = &c->response.body;
    struct job j;
    size_t before = out->len;
    bool more = true;
    f->seen = jobs_version(c->app->jobs);
    if (!jobs_get(c->app->jobs, c->params[0], &j, &c->err))
        return false;
    bool ok = true;
    while (ok && more && out->len == before)
        ok = take_lines(c, f, &more);
    bool over = ok && !more && job_is_over(&j);
    if (over)
        write_done(out, &j);
    job_clear(&j);
    if (!ok)
        return false;
    if (!over && out->len == before && clock_ns() - f->sent_at >= HEARTBEAT_NS)
        buf_text(out, ":\n\n");
    if (out->len > before)
        f->sent_at = clock_ns();
    f->behind = more;
    return over ? call_done(c) : call_go_on(c, has_news, send_events);
}

/* The number behind the event that the reader has seen last. */
static bool read_start(struct call *c, uint64_t *from)
{
    const char *header = c->request->last_event_id, *after = header && *header ? header : query_text(c, "after");
    if (query_text(c, "limit"))
        return err_field(&c->err, "limit", "a stream has no pages");
    *from = 0;
    if (!after)
        return true;
    if (!job_event_number(after, c->params[0], from))
        return err_field(&c->err, after == header ? "last-event-id" : "after", "is no event of this job");
    ++*from;
    return true;
}

bool job_events_stream(struct call *c)
{
    struct follower *f = call_new(c, 1, sizeof *f);
    if (!read_start(c, &f->from) || !jobs_events_folder(c->app->jobs, c->params[0], f->folder, &c->err))
        return false;
    c->scratch = f;
    c->response.status = 200;
    c->response.content_type = EVENT_STREAM;
    answer_header(&c->response, "cache-control", "no-store");
    answer_header(&c->response, "x-accel-buffering", "no"); /* or a proxy gathers before it sends */
    return send_events(c);
}
