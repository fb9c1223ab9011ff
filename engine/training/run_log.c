/* run_log.c - lines to a file and a listener. */
#include "engine/training/run_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

bool run_log_open(struct run_log *l, const char *path, run_listener *listener, void *context, struct err *e)
{
    *l = (struct run_log){.path = mem_text(path), .listener = listener, .context = context};
    l->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return l->fd >= 0 || err_sys(e, "opening %s", path);
}

void run_log_close(struct run_log *l)
{
    if (l->path && l->fd >= 0)
        close(l->fd);
    buf_clear(&l->line);
    free(l->path);
    *l = (struct run_log){.fd = -1};
}

struct json_writer *run_log_begin(struct run_log *l, enum run_event event)
{
    l->line.len = 0;
    l->w = run_event_begin(&l->line, event);
    return &l->w;
}

void run_log_end(struct run_log *l)
{
    struct err e = {0};
    jw_end(&l->w);
    if (l->listener)
        l->listener(l->line.data, l->context);
    buf_char(&l->line, '\n');
    if (!file_write_all(l->fd, l->line.data, l->line.len, &e))
        log_warn("run_log", "%s", e.text);
}
