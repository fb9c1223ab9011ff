/* run_log.h - what happens in a run, one JSON object a line: in the run's folder, and to whoever listens (run_events.h).
 *
 * The file is for people, plots and report.c; nothing of the run itself depends on it.
 */
#ifndef ANCHORD_ENGINE_TRAINING_RUN_LOG_H
#define ANCHORD_ENGINE_TRAINING_RUN_LOG_H

#include "engine/training/run_events.h"

typedef void run_listener(const char *line, void *context);

struct run_log {
    char *path; /* owned */
    int fd;
    run_listener *listener; /* NULL: none */
    void *context;
    struct buf line;
    struct json_writer w;
};

/* Appends to `path`. */
MUST_CHECK bool run_log_open(struct run_log *l, const char *path, run_listener *listener, void *context, struct err *e);
void run_log_close(struct run_log *l);

/* Begins a line; the members are written to the writer that it gives; run_log_end() sends it.  A full disk loses
 * lines of the file, never the run. */
struct json_writer *run_log_begin(struct run_log *l, enum run_event event);
void run_log_end(struct run_log *l);

#endif
