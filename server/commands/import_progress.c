/* import_progress.c - draws the bar. */
#include "server/commands/import_progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/commands/bar.h"
#include "server/commands/command.h"

struct import_progress import_progress_start(size_t total)
{
    double now = clock_s();
    return (struct import_progress){total, now, now, isatty(STDERR_FILENO) == 1};
}

void import_progress_show(struct import_progress *p, size_t done)
{
    double now = clock_s(), spent = now - p->started, rate = spent > 0 ? (double)done / spent : 0;
    char left[DURATION_TEXT], bar[BAR_SIGNS + 1];
    if (now - p->shown < (p->terminal ? 0.1 : 10))
        return;
    p->shown = now;
    duration_text(rate > 0 ? (double)(p->total - done) / rate : 0, left);
    if (!p->terminal) {
        fprintf(stderr, "%zu of %zu, %.1f/s, %s left\n", done, p->total, rate, left);
        return;
    }
    fprintf(stderr, "\r[%s] %zu/%zu  %.1f/s  %s left \033[K", bar_text(done, p->total, bar), done, p->total, rate,
            left);
    fflush(stderr);
}

void import_progress_say(struct import_progress *p, char *line)
{
    make_printable(line);
    fprintf(stderr, "%s%s\n", p->terminal ? "\r\033[K" : "", line);
    p->shown = p->terminal ? 0 : p->shown; /* the bar comes back at the next file */
}

void import_progress_end(struct import_progress *p)
{
    if (p->terminal)
        fputs("\r\033[K", stderr);
}
