/* job_events.h - what happened in a job, in OpenAI's shape, one JSON object a line of DIR/jobs/<id>/events.jsonl.
 *
 *     {"object":"fine_tuning.job.event","id":"ftevent-0000000012-ftjob-...","created_at":T,"level":"info"|"warn"|"error",
 *      "message":M,"type":"message"|"metrics","data":{...}}
 *
 * Ids grow with time, so they say where a reader is; the number in them is what `after` and Last-Event-ID are turned
 * into.  A job has at most JOB_EVENTS_MAX of them; a caller that adds some keeps a few for the job's end.
 */
#ifndef ANCHORD_API_JOBS_JOB_EVENTS_H
#define ANCHORD_API_JOBS_JOB_EVENTS_H

#include "api/jobs/job.h"
#include "base/buf.h"

enum { JOB_EVENTS_MAX = 5000 };

struct job_event {
    const char *level, *type;
    const char *message;
    const char *data; /* JSON object text; NULL: {} */
};

/* The number of the next event, by what the file holds; a line that a crash tore is closed. */
MUST_CHECK bool job_events_count(const char *folder, uint64_t *n, struct err *e);
/* Adds event number *n and counts on; past the maximum nothing happens.  A full disk loses the event, and says so in the log. */
void job_events_add(const char *folder, const char *job, uint64_t *n, const struct job_event *event);

struct job_events {     /* lines as they are in the file */
    struct buf text;    /* owned */
    const char **lines; /* [n], oldest first, without the newline; owned */
    size_t *lengths;
    size_t n;
};
MUST_CHECK bool job_events_read(const char *folder, struct job_events *out, struct err *e);
void job_events_clear(struct job_events *events);
/* Appends to `out` the whole lines of the file from byte *offset on, each with its newline, about `most` bytes.  Moves
 * *offset behind them.  Appends nothing when there is nothing more to read. */
MUST_CHECK bool job_events_follow(const char *folder, uint64_t *offset, size_t most, struct buf *out, struct err *e);
/* The line is an event; one that a crash tore is none, and keeps its number. */
bool job_event_is_whole(const char *line, size_t len);
enum { JOB_EVENT_ID_SIZE = 64 };
void job_event_id(uint64_t number, const char *job, char out[JOB_EVENT_ID_SIZE]);
/* The number in an event's id; false when it is none of this job. */
bool job_event_number(const char *id, const char *job, uint64_t *out);

#endif
