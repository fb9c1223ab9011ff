/* budget.c - a counter, a lock and a condition. */
#include "base/budget.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/thread.h"

struct budget {
    pthread_mutex_t lock;
    pthread_cond_t given;
    size_t total;
    size_t left; /* guarded by lock */
};

struct budget *budget_new(size_t bytes)
{
    struct budget *b = mem_new(1, sizeof *b);
    b->total = b->left = bytes;
    pthread_mutex_init(&b->lock, NULL);
    cond_init(&b->given);
    return b;
}

void budget_free(struct budget *b)
{
    if (!b)
        return;
    pthread_cond_destroy(&b->given);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

bool budget_take(struct budget *b, size_t bytes, int64_t until, size_t *taken, struct err *e)
{
    size_t want = min_size(bytes, b->total);
    pthread_mutex_lock(&b->lock);
    while (b->left < want && cond_wait_until(&b->given, &b->lock, until))
        ;
    bool ok = b->left >= want;
    if (ok)
        b->left -= want;
    pthread_mutex_unlock(&b->lock);
    *taken = ok ? want : 0;
    return ok || err_set(e, ERR_BUSY, "the memory for this is in use; try again");
}

void budget_give(struct budget *b, size_t taken)
{
    pthread_mutex_lock(&b->lock);
    b->left += taken;
    pthread_cond_broadcast(&b->given);
    pthread_mutex_unlock(&b->lock);
}
