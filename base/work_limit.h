/* work_limit.h - how long the work at hand may take, and how many rows of the catalogue it may look at.
 *
 *     struct work_limit limit = {.until = clock_ns() + 2000000000, .rows = 1000000};
 *     struct work_limit *before = work_limit_set(&limit);
 *     ... whatever runs here stops in time ...
 *     work_limit_set(before);
 *     if (limit.why != WORK_GOES_ON) ...
 *
 * The limit is the thread's own and not a parameter.  Every statement of the catalogue looks at it, so nothing that a
 * request runs, now or later, can forget it.  A thread without a limit works as long as it likes.
 */
#ifndef ANCHORD_BASE_WORK_LIMIT_H
#define ANCHORD_BASE_WORK_LIMIT_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

enum work_end { WORK_GOES_ON, WORK_TOOK_LONG, WORK_MANY_ROWS, WORK_GIVEN_UP };

struct work_limit {
    int64_t until;               /* clock_ns() */
    int64_t rows;                /* what is left of them */
    bool lengthy;                /* it may take long, so it leaves room for work that does not */
    bool (*gone)(void *context); /* nobody waits for it any more; asked now and then; NULL: somebody does */
    void *context;
    const atomic_bool *hurry; /* whoever waits has no more time; NULL: they have */
    double seconds;           /* of the time and ... */
    int64_t rows_max;         /* ... of the rows that there were at first: for the error */
    int64_t asked_at;         /* when `gone` was asked last */
    enum work_end why;        /* out: why it was stopped */
};

/* From now on the thread works under `l` (borrowed; NULL: without a limit).  Gives the one before. */
struct work_limit *work_limit_set(struct work_limit *l);
struct work_limit *work_limit_now(void); /* NULL: there is none */

/* False: the work has to stop.  Costs a look at the clock. */
bool work_limit_holds(void);
/* The same for one more row, and costs a subtraction. */
bool work_limit_take_row(void);
/* Says why it has to stop: ERR_BUSY, or ERR_TOO_LARGE with the limit. */
bool work_limit_err(struct err *e);

#endif
