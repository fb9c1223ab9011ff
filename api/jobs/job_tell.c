/* job_tell.c - what changes in a job, to its file, its events and those who wait. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/jobs/jobs_parts.h"
#include "base/file.h"
#include "base/log.h"

void jobs_folder(const struct jobs *x, const char *id, char out[PATH_MAX])
{
    path_join(out, x->dir, "%s", id);
}

bool jobs_changed(struct jobs *x, const struct job *j, struct err *e)
{
    char folder[PATH_MAX];
    struct err why = {0};
    jobs_folder(x, j->id, folder);
    bool saved = job_save(j, folder, &why);
    if (!saved && why.code == ERR_FULL && store_make_room(x->app->store)) {
        why = (struct err){0};
        saved = job_save(j, folder, &why);
    }
    if (!saved)
        log_error("job_not_saved", "id=%s %s", j->id, why.text);
    x->version++;
    pthread_cond_broadcast(&x->changed);
    return saved || err_move(e, &why);
}

bool job_is_to_stop(struct job_run *r)
{
    pthread_mutex_lock(&r->jobs->lock);
    bool stop = r->jobs->stop || r->job->cancel;
    pthread_mutex_unlock(&r->jobs->lock);
    return stop || demand_is_draining(&r->jobs->app->demand);
}

void job_tell_event(struct job_run *r, const char *level, const char *type, const char *message, const char *data)
{
    job_events_add(r->folder, r->job->id, &r->events, &(struct job_event){level, type, message, data});
    pthread_mutex_lock(&r->jobs->lock);
    r->jobs->version++;
    pthread_cond_broadcast(&r->jobs->changed);
    pthread_mutex_unlock(&r->jobs->lock);
}

void job_tell(struct job_run *r, const char *level, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    job_tell_event(r, level, "message", text, NULL);
}

void job_fail(struct job_run *r, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->failure, sizeof r->failure, fmt, ap);
    va_end(ap);
    snprintf(r->failure_code, sizeof r->failure_code, "%s", code);
}
