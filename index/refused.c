/* refused.c - a list of ids behind a lock. */
#include "index/refused.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct refused {
    pthread_mutex_t lock;
    char (*ids)[sizeof((struct key_row *)0)->id]; /* guarded by lock */
    size_t n;
};

struct refused *refused_new(void)
{
    struct refused *r = mem_new(1, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void refused_free(struct refused *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r->ids);
    free(r);
}

void refused_add(struct refused *r, const char *id)
{
    pthread_mutex_lock(&r->lock);
    r->ids = mem_grow(r->ids, r->n + 1, sizeof *r->ids);
    snprintf(r->ids[r->n++], sizeof *r->ids, "%s", id);
    pthread_mutex_unlock(&r->lock);
}

size_t refused_filter(struct refused *r, struct key_row *rows, size_t n)
{
    size_t kept = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < n; i++) {
        bool refused = false;
        for (size_t j = 0; j < r->n; j++)
            refused |= strcmp(r->ids[j], rows[i].id) == 0;
        if (!refused)
            rows[kept++] = rows[i];
    }
    pthread_mutex_unlock(&r->lock);
    return kept;
}
