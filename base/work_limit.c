/* work_limit.c - the limit of the thread at hand. */
#include "base/work_limit.h"

#include <stddef.h>

#include "base/clock.h"

static _Thread_local struct work_limit *current;

struct work_limit *work_limit_set(struct work_limit *l)
{
    struct work_limit *before = current;
    current = l;
    return before;
}

struct work_limit *work_limit_now(void)
{
    return current;
}

/* The question costs a system call. */
enum { ASK_EVERY_NS = 50 * 1000 * 1000 };

static bool is_given_up(struct work_limit *l, int64_t now)
{
    if (l->hurry && atomic_load_explicit(l->hurry, memory_order_relaxed))
        return true;
    if (!l->gone || now - l->asked_at < ASK_EVERY_NS)
        return false;
    l->asked_at = now;
    return l->gone(l->context);
}

bool work_limit_holds(void)
{
    struct work_limit *l = current;
    if (!l)
        return true;
    int64_t now = clock_ns();
    if (l->why == WORK_GOES_ON && is_given_up(l, now))
        l->why = WORK_GIVEN_UP;
    if (l->why == WORK_GOES_ON && now >= l->until)
        l->why = WORK_TOOK_LONG;
    return l->why == WORK_GOES_ON;
}

bool work_limit_take_row(void)
{
    struct work_limit *l = current;
    if (!l || l->rows-- > 0)
        return true;
    if (l->why == WORK_GOES_ON)
        l->why = WORK_MANY_ROWS;
    return false;
}

bool work_limit_err(struct err *e)
{
    const struct work_limit *l = current;
    switch (l ? l->why : WORK_GOES_ON) {
    case WORK_MANY_ROWS:
        return err_set(e, ERR_TOO_LARGE, "it looks at more than %lld rows (setting query_rows)",
                       (long long)l->rows_max);
    case WORK_TOOK_LONG: return err_set(e, ERR_BUSY, "it takes longer than %g seconds", l->seconds);
    case WORK_GIVEN_UP: return err_set(e, ERR_BUSY, "nobody waits for the answer any more, or the server is stopping");
    case WORK_GOES_ON:
    default: return err_set(e, ERR_BUSY, "it was stopped");
    }
}
