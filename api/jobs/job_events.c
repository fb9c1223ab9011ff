/* job_events.c - appends to the file of events and reads it. */
#include "api/jobs/job_events.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/mem.h"

enum { FILE_MAX = 64 << 20 };

#define EVENTS "events.jsonl"

/* All of it or nothing: numbers and lines must agree. */
static bool append(const char *folder, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    struct err e = {0};
    struct stat st;
    int fd = open(path_join(path, folder, EVENTS), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    bool ok = (fd >= 0 && fstat(fd, &st) == 0) || err_sys(&e, "open");
    if (ok && !file_write_all(fd, bytes, len, &e)) {
        ok = false;
        if (ftruncate(fd, st.st_size) != 0)
            log_warn("job_events", "a torn line in %s", path);
    }
    if (fd >= 0)
        close(fd);
    if (!ok)
        log_warn("job_event_lost", "%s", e.text);
    return ok;
}

bool job_events_count(const char *folder, uint64_t *n, struct err *e)
{
    struct job_events events;
    if (!job_events_read(folder, &events, e))
        return false;
    if (events.text.len > 0 && events.text.data[events.text.len - 1] != '\n')
        (void)append(folder, "\n", 1);
    *n = events.n;
    job_events_clear(&events);
    return true;
}

void job_event_id(uint64_t number, const char *job, char out[JOB_EVENT_ID_SIZE])
{
    snprintf(out, JOB_EVENT_ID_SIZE, "ftevent-%010llu-%s", (unsigned long long)number, job);
}

void job_events_add(const char *folder, const char *job, uint64_t *n, const struct job_event *event)
{
    struct buf line = {0};
    char id[JOB_EVENT_ID_SIZE];
    if (*n >= JOB_EVENTS_MAX)
        return;
    job_event_id(*n, job, id);
    struct json_writer w = jw_to(&line);
    jw_object(&w, NULL);
    jw_text(&w, "object", "fine_tuning.job.event");
    jw_text(&w, "id", id);
    jw_int(&w, "created_at", clock_unix());
    jw_text(&w, "level", event->level);
    jw_text(&w, "message", event->message);
    jw_text(&w, "type", event->type);
    jw_raw(&w, "data", event->data ? event->data : "{}");
    jw_end(&w);
    buf_char(&line, '\n');
    *n += append(folder, line.data, line.len);
    buf_clear(&line);
}

/* Each line that begins as ours do; a torn one keeps its number, so that numbers and lines agree. */
static void split(struct job_events *events)
{
    char *at = events->text.data, *end = at + events->text.len;
    while (at < end) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((newline ? newline : end) - at), room = events->n;
        if ((room & (room - 1)) == 0) {
            events->lines = mem_grow(events->lines, room ? room * 2 : 1, sizeof *events->lines);
            events->lengths = mem_grow(events->lengths, room ? room * 2 : 1, sizeof *events->lengths);
        }
        events->lines[events->n] = at;
        events->lengths[events->n++] = len;
        at = newline ? newline + 1 : end;
    }
}

bool job_events_read(const char *folder, struct job_events *out, struct err *e)
{
    char path[PATH_MAX];
    void *bytes;
    size_t len;
    struct err why = {0};
    *out = (struct job_events){0};
    if (!file_read(path_join(path, folder, EVENTS), FILE_MAX, &bytes, &len, &why))
        return why.code == ERR_NOT_FOUND || err_move(e, &why);
    out->text = (struct buf){.data = bytes, .len = len, .room = len + 1};
    split(out);
    return true;
}

void job_events_clear(struct job_events *events)
{
    buf_clear(&events->text);
    free(events->lines);
    free(events->lengths);
    *events = (struct job_events){0};
}

/* The end of the last whole line in it. */
static size_t whole_lines(const struct buf *b, size_t from)
{
    const char *newline = b->len > from ? memrchr(b->data + from, '\n', b->len - from) : NULL;
    return newline ? (size_t)(newline - b->data) + 1 : from;
}

bool job_events_follow(const char *folder, uint64_t *offset, size_t most, struct buf *out, struct err *e)
{
    char path[PATH_MAX];
    size_t start = out->len;
    ssize_t n = 0;
    int fd = open(path_join(path, folder, EVENTS), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || err_sys(e, "open");
    do { /* a line may be longer than what is asked for */
        buf_reserve(out, most);
        n = pread(fd, out->data + out->len, most, (off_t)(*offset + (out->len - start)));
        out->len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && whole_lines(out, start) == start && out->len - start < FILE_MAX);
    bool ok = n >= 0 || err_sys(e, "read");
    close(fd);
    out->len = whole_lines(out, start);
    *offset += out->len - start;
    return ok;
}

bool job_event_is_whole(const char *line, size_t len)
{
    return len > 1 && line[0] == '{' && line[len - 1] == '}';
}

bool job_event_number(const char *id, const char *job, uint64_t *out)
{
    char want[JOB_EVENT_ID_SIZE];
    unsigned long long n;
    if (sscanf(id, "ftevent-%10llu-", &n) != 1)
        return false;
    job_event_id(n, job, want);
    *out = n;
    return strcmp(want, id) == 0;
}
