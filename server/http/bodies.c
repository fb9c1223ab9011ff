/* bodies.c - one quota, and a table of who holds how much of it. */
#include "server/http/bodies.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BUCKETS = 256 };

struct holder { /* there as long as it holds something */
    struct holder *next;
    size_t bytes;
    char *client;
};

struct bodies {
    struct quota quota;
    pthread_mutex_t lock;
    struct holder *buckets[BUCKETS]; /* guarded by lock */
};

struct bodies *bodies_new(size_t total)
{
    struct bodies *b = mem_new(1, sizeof *b);
    quota_init(&b->quota, total);
    pthread_mutex_init(&b->lock, NULL);
    return b;
}

void bodies_free(struct bodies *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static struct holder **find_locked(struct bodies *b, const char *client)
{
    unsigned hash = 5381;
    for (const char *p = client; *p; p++)
        hash = hash * 33 + (unsigned char)*p;
    struct holder **at = &b->buckets[hash % BUCKETS];
    while (*at && strcmp((*at)->client, client) != 0)
        at = &(*at)->next;
    return at;
}

static void give_share(struct bodies *b, const char *client, size_t bytes)
{
    pthread_mutex_lock(&b->lock);
    struct holder **at = find_locked(b, client), *h = *at;
    if (h && (h->bytes -= bytes) == 0) {
        *at = h->next;
        free(h->client);
        free(h);
    }
    pthread_mutex_unlock(&b->lock);
}

static bool take_share(struct bodies *b, const char *client, size_t bytes)
{
    size_t most = b->quota.total / 2;
    pthread_mutex_lock(&b->lock);
    struct holder **at = find_locked(b, client);
    size_t held = *at ? (*at)->bytes : 0;
    bool fits = bytes <= most && held <= most - bytes;
    if (fits && !*at) {
        *at = mem_new(1, sizeof **at);
        (*at)->client = mem_text(client);
    }
    if (fits)
        (*at)->bytes += bytes;
    pthread_mutex_unlock(&b->lock);
    return fits;
}

bool bodies_take(struct bodies *b, const char *client, size_t bytes, bool small, struct err *e)
{
    if (bytes == 0)
        return true;
    if (!small && !take_share(b, client, bytes))
        return err_set(e, ERR_BUSY, "this client's share of the memory for request bodies is used up; try again");
    if (quota_take(&b->quota, bytes, small))
        return true;
    if (!small)
        give_share(b, client, bytes);
    return err_set(e, ERR_BUSY, "the memory for request bodies is used up; try again");
}

void bodies_give(struct bodies *b, const char *client, size_t bytes, bool small)
{
    if (bytes == 0)
        return;
    quota_give(&b->quota, bytes);
    if (!small)
        give_share(b, client, bytes);
}

size_t bodies_held(struct bodies *b)
{
    return atomic_load(&b->quota.used);
}
