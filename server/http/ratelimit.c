/* ratelimit.c - a set-associative table of token buckets. */
#include "server/http/ratelimit.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

enum { SETS = 1024, WAYS = 8 };

struct bucket {
    uint64_t name; /* hash; 0: free.  Two names with one hash share a bucket: 64 bits make that a curiosity */
    double tokens;
    int64_t at; /* when `tokens` was true */
};

struct ratelimit {
    double rate, burst;
    pthread_mutex_t mu;
    struct bucket (*table)[WAYS]; /* guarded by mu */
};

struct ratelimit *ratelimit_new(double rate, double burst)
{
    struct ratelimit *r = mem_new(1, sizeof *r);
    r->rate = rate;
    r->burst = burst;
    pthread_mutex_init(&r->mu, NULL);
    if (rate > 0)
        r->table = mem_new(SETS, sizeof *r->table);
    return r;
}

void ratelimit_free(struct ratelimit *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->mu);
    free(r->table);
    free(r);
}

static uint64_t hash(const char *name)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h ? h : 1;
}

/* The bucket of this name; a new one is full. */
static struct bucket *find_locked(struct ratelimit *r, uint64_t name, int64_t now)
{
    struct bucket *set = r->table[name % SETS], *oldest = set;
    for (struct bucket *b = set; b < set + WAYS; b++) {
        if (b->name == name)
            return b;
        if (b->name == 0 ? oldest->name != 0 : oldest->name != 0 && b->at < oldest->at)
            oldest = b;
    }
    *oldest = (struct bucket){name, r->burst, now};
    return oldest;
}

bool ratelimit_take(struct ratelimit *r, const char *name, int64_t now, unsigned *wait_s)
{
    *wait_s = 0;
    if (!r->table)
        return true;
    pthread_mutex_lock(&r->mu);
    struct bucket *b = find_locked(r, hash(name), now);
    if (now > b->at) {
        b->tokens = fmin(r->burst, b->tokens + (double)(now - b->at) * 1e-9 * r->rate);
        b->at = now;
    }
    bool ok = b->tokens >= 1;
    if (ok)
        b->tokens -= 1;
    else
        *wait_s = (unsigned)fmax(1, ceil((1 - b->tokens) / r->rate));
    pthread_mutex_unlock(&r->mu);
    return ok;
}
