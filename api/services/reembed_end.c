/* reembed_end.c - how a stage of re-embedding ends, and what is told of it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/services/reembed_parts.h"
#include "base/log.h"
#include "base/metric.h"

bool reembed_is_stopping(struct reembed *r)
{
    return sleeper_is_stopped(&r->sleeper) || demand_is_draining(&r->app->demand);
}

void reembed_get_progress(struct reembed *r, struct reembed_progress *out)
{
    *out = (struct reembed_progress){0};
    if (!r)
        return;
    pthread_mutex_lock(&r->sleeper.lock);
    *out = r->progress;
    pthread_mutex_unlock(&r->sleeper.lock);
}

void reembed_set_note(struct reembed *r, const char *note)
{
    pthread_mutex_lock(&r->sleeper.lock);
    bool news = strcmp(r->progress.note, note) != 0;
    snprintf(r->progress.note, sizeof r->progress.note, "%s", note);
    pthread_mutex_unlock(&r->sleeper.lock);
    if (news && *note)
        log_warn("generation_waits", "generation=%lld why=\"%s\"", (long long)r->row.number, note);
}

enum reembed_end reembed_later(struct reembed *r, const char *note)
{
    reembed_set_note(r, note);
    return REEMBED_LATER;
}

enum reembed_end reembed_failed(struct reembed *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->failure, sizeof r->failure, fmt, ap);
    va_end(ap);
    return REEMBED_FAILED;
}

void reembed_set_missing(struct reembed *r, int64_t n)
{
    r->missing = n > 0 ? n : 0;
    metric_set(METRIC_generation_images_missing, (double)r->missing, NULL, NULL);
}

/* What a write's error means for the generation. */
enum reembed_end reembed_end_of(struct reembed *r, const struct err *e)
{
    switch (e->code) {
    case ERR_NONE: return REEMBED_WENT_ON;
    case ERR_NOT_FOUND: return REEMBED_GONE;
    case ERR_FULL: return reembed_later(r, "the disk is nearly full");
    case ERR_IO:
    case ERR_CORRUPT: return reembed_later(r, "the store does not write any more after a failure of the disk");
    case ERR_BUSY: return reembed_later(r, "too many writes are waiting");
    default: return reembed_failed(r, "%s", e->text);
    }
}
