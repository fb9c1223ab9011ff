/* fine_tuning_events.c - the events and the checkpoints of a job, page by page. */
#include "api/requests/fine_tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jobs/jobs.h"
#include "api/requests/fields.h"
#include "base/mem.h"

static bool is_whole(const struct job_events *events, size_t i)
{
    return job_event_is_whole(events->lines[i], events->lengths[i]);
}

static void write_line(struct json_writer *w, const struct job_events *events, size_t i)
{
    char *text = mem_new(events->lengths[i] + 1, 1);
    memcpy(text, events->lines[i], events->lengths[i]);
    jw_raw(w, NULL, text);
    free(text);
}

/* Where a page begins: the number of events below the one that `after` names. */
static bool read_after(struct call *c, size_t n, size_t *below)
{
    const char *after = query_text(c, "after");
    uint64_t number;
    *below = n;
    if (!after)
        return true;
    if (!job_event_number(after, c->params[0], &number))
        return err_field(&c->err, "after", "is no event of this job");
    *below = number < n ? (size_t)number : n;
    return true;
}

bool job_events_get(struct call *c)
{
    struct job_events events;
    size_t below;
    int64_t limit = JOBS_PAGE;
    if (!has_jobs(c))
        return false;
    if (accepts(c, EVENT_STREAM))
        return job_events_stream(c);
    if (!query_int(c, "limit", 1, JOBS_PAGE_MOST, &limit) || !jobs_events(c->app->jobs, c->params[0], &events, &c->err))
        return false;
    bool ok = read_after(c, events.n, &below);
    if (ok) {
        struct json_writer w = answer_list(&c->response);
        for (; below > 0 && limit > 0; below--)
            if (is_whole(&events, below - 1)) {
                write_line(&w, &events, below - 1);
                limit--;
            }
        answer_list_end(&w, below > 0);
        call_done(c);
    }
    job_events_clear(&events);
    return ok;
}

/* The figures of a judgement, as OpenAI's client expects a checkpoint. */
static bool write_checkpoint(struct json_writer *w, const struct job *j, const struct json *event)
{
    const struct json *data = json_member(event, "data"), *figures = json_member(data, "figures");
    const char *id = json_as_text(json_member(event, "id"), NULL);
    int64_t created = 0, step = 0, best = -1;
    struct buf text = {0};
    char name[80];
    if (!figures || !id || strncmp(id, "ftevent-", 8) != 0)
        return false;
    struct json *result = j->result ? json_parse(j->result, strlen(j->result), 0, NULL) : NULL;
    json_as_int(json_member(event, "created_at"), &created);
    json_as_int(json_member(data, "step"), &step);
    json_as_int(json_member(result, "best_step"), &best);
    json_free(result);
    json_dump(figures, &text);
    snprintf(name, sizeof name, "ftckpt-%.70s", id + 8);
    jw_object(w, NULL);
    jw_text(w, "object", "fine_tuning.job.checkpoint");
    jw_text(w, "id", name);
    jw_int(w, "created_at", created);
    jw_int(w, "step_number", step);
    jw_text(w, "fine_tuning_job_id", j->id);
    jw_text(w, "fine_tuned_model_checkpoint", step == best ? j->made_model[0] ? j->made_model : NULL : NULL);
    jw_raw(w, "metrics", text.data);
    jw_end(w);
    buf_clear(&text);
    return true;
}

static void write_checkpoints(struct call *c, const struct job *j, const struct job_events *events, int64_t limit)
{
    struct json_writer w = answer_list(&c->response);
    const char *after = query_text(c, "after");
    bool begun = !after, more = false;
    for (size_t i = events->n; i-- > 0;) {
        struct json *event = is_whole(events, i) ? json_parse(events->lines[i], events->lengths[i], 0, NULL) : NULL;
        const char *id = json_as_text(json_member(event, "id"), NULL);
        bool judged = json_member(json_member(event, "data"), "figures") != NULL;
        if (judged && begun && limit == 0)
            more = true;
        if (judged && begun && limit > 0 && write_checkpoint(&w, j, event))
            limit--;
        if (!begun && id && strlen(after) > 7 && strlen(id) > 8 && strcmp(after + 7, id + 8) == 0)
            begun = true;
        json_free(event);
    }
    answer_list_end(&w, more);
    call_done(c);
}

bool job_checkpoints_get(struct call *c)
{
    struct job_events events;
    struct job j;
    int64_t limit = 10;
    if (!has_jobs(c) || !query_int(c, "limit", 1, JOBS_PAGE_MOST, &limit) ||
        !jobs_get(c->app->jobs, c->params[0], &j, &c->err))
        return false;
    bool ok = jobs_events(c->app->jobs, j.id, &events, &c->err);
    if (ok) {
        write_checkpoints(c, &j, &events, limit);
        job_events_clear(&events);
    }
    job_clear(&j);
    return ok;
}
