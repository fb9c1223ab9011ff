/* budget.h - memory that threads share by agreement: who asks for more than is left waits until others give back.
 *
 *     if (!budget_take(b, bytes, clock_ns() + 1000000000, e)) return false;
 *     ...
 *     budget_give(b, bytes);
 *
 * A thread that holds something must not ask for more, or two could wait for each other.  Small requests pass larger
 * ones that wait.  Threads: both functions from any.
 */
#ifndef ANCHORD_BASE_BUDGET_H
#define ANCHORD_BASE_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct budget;
struct budget *budget_new(size_t bytes);
void budget_free(struct budget *b); /* NULL is fine; nobody may hold a part any more */

/* Takes `bytes`, or all there is when that is less, and stores in *taken how many.  ERR_BUSY when they are not there by
 * `until` (clock_ns()). */
MUST_CHECK bool budget_take(struct budget *b, size_t bytes, int64_t until, size_t *taken, struct err *e);
void budget_give(struct budget *b, size_t taken);

#endif
