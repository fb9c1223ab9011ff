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

static bool is_set(const atomic_bool *flag)
{
    return flag && atomic_load_explicit(flag, memory_order_relaxed);
}

bool work_limit_holds(void)
{
    struct work_limit *l = current;
    if (!l)
        return true;
    if (l->why == WORK_GOES_ON && (is_set(l->gone) || is_set(l->hurry)))
        l->why = WORK_GIVEN_UP;
    if (l->why == WORK_GOES_ON && clock_ns() >= l->until)
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
    case WORK_TOOK_LONG:
        return err_set(e, ERR_BUSY, "it takes longer than %g seconds (setting query_seconds)", l->seconds);
    case WORK_GIVEN_UP:
        return err_set(e, ERR_BUSY, "nobody waits for the answer any more, or the server is stopping");
    case WORK_GOES_ON:
    default:
        return err_set(e, ERR_BUSY, "it was stopped");
    }
}
