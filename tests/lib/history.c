/* history.c - what each id was and when, and whether a search's answer may be true. */
#include "tests/lib/history.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

struct change {
    double sent, acked; /* acked: DBL_MAX while the request is out */
    int picture;
    int64_t stamp;
};

struct id {
    struct change *changes; /* oldest first; the first made it absent, long ago */
    size_t n, room;
};

struct history {
    pthread_mutex_t lock; /* guards all */
    struct id *ids;
    size_t n;
};

static void add(struct id *id, struct change c)
{
    if (id->n == id->room) {
        id->room = id->room ? id->room * 2 : 16;
        id->changes = mem_grow(id->changes, id->room, sizeof *id->changes);
    }
    id->changes[id->n++] = c;
}

struct history *history_new(size_t ids)
{
    struct history *h = mem_new(1, sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    h->ids = mem_new(ids, sizeof *h->ids);
    h->n = ids;
    for (size_t i = 0; i < ids; i++)
        add(&h->ids[i], (struct change){.sent = -1, .acked = -1, .picture = HISTORY_ABSENT});
    return h;
}

void history_free(struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->ids[i].changes);
    free(h->ids);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

void history_begin(struct history *h, size_t id, int picture, int64_t stamp)
{
    pthread_mutex_lock(&h->lock);
    add(&h->ids[id], (struct change){clock_s(), DBL_MAX, picture, stamp});
    pthread_mutex_unlock(&h->lock);
}

void history_end(struct history *h, size_t id, bool refused)
{
    pthread_mutex_lock(&h->lock);
    struct id *x = &h->ids[id];
    if (refused)
        x->n--;
    else
        x->changes[x->n - 1].acked = clock_s();
    pthread_mutex_unlock(&h->lock);
}

int history_picture(struct history *h, size_t id)
{
    pthread_mutex_lock(&h->lock);
    int picture = h->ids[id].changes[h->ids[id].n - 1].picture;
    pthread_mutex_unlock(&h->lock);
    return picture;
}

int64_t history_stamp(struct history *h, size_t id)
{
    pthread_mutex_lock(&h->lock);
    int64_t stamp = h->ids[id].changes[h->ids[id].n - 1].stamp;
    pthread_mutex_unlock(&h->lock);
    return stamp;
}

/* ---- the check; the lock is held ---- */

/* The one or two states that the id may be in at moment t. */
static size_t possible(const struct id *id, double t, const struct change *out[2])
{
    size_t k = id->n - 1;
    while (id->changes[k].sent > t)
        k--;
    out[0] = &id->changes[k];
    if (id->changes[k].acked <= t)
        return 1;
    out[1] = &id->changes[k - 1];
    return 2;
}

/* May the id, at t, be what the answer shows of it, or not be in the answer? */
static bool id_fits(const struct history *h, const struct history_answer *a, size_t id, int query, double t)
{
    const struct change *states[2];
    const struct history_hit *hit = a->by_id[id];
    size_t n = possible(&h->ids[id], t, states);
    double last =
        a->n == a->limit && a->n > 0 ? a->hits[a->n - 1].score : -2; /* full: what scores less may be missing */
    for (size_t i = 0; i < n; i++) {
        double score =
            states[i]->picture == HISTORY_ABSENT ? -2 : a->scores[query * HISTORY_PICTURES + states[i]->picture];
        if (!hit && (states[i]->picture == HISTORY_ABSENT || score <= last + a->tolerance))
            return true;
        if (hit && states[i]->picture != HISTORY_ABSENT && states[i]->stamp == hit->stamp &&
            fabs(score - hit->score) <= a->tolerance)
            return true;
    }
    return false;
}

/* All ids fit at moment t, with that picture as the query; the count of those that do not. */
static size_t misfits(const struct history *h, const struct history_answer *a, int query, double t, size_t *first)
{
    size_t n = 0;
    for (size_t id = 0; id < h->n; id++)
        if (!(a->query < 0 && id == a->query_id) && !id_fits(h, a, id, query, t)) {
            *first = n == 0 ? id : *first;
            n++;
        }
    return n;
}

static size_t misfits_at(const struct history *h, const struct history_answer *a, double t, size_t *first)
{
    const struct change *states[2];
    size_t best = SIZE_MAX, f = 0;
    if (a->query >= 0)
        return misfits(h, a, a->query, t, first);
    size_t n = possible(&h->ids[a->query_id], t, states);
    for (size_t i = 0; i < n; i++) {
        bool absent = states[i]->picture == HISTORY_ABSENT;
        size_t wrong = absent != !a->hits ? 1 : absent ? 0 : misfits(h, a, states[i]->picture, t, &f);
        if (wrong < best) {
            best = wrong;
            *first = f;
        }
    }
    return best;
}

static bool in_order(const struct history_answer *a)
{
    for (size_t i = 1; i < a->n; i++)
        if (!(a->hits[i - 1].score >= a->hits[i].score))
            return false;
    return a->n <= a->limit;
}

static void explain(const struct history *h, const struct history_answer *a, size_t id, char *why, size_t size)
{
    const struct history_hit *hit = a->by_id[id];
    const struct change *c = &h->ids[id].changes[h->ids[id].n - 1];
    snprintf(why, size,
             "%zu hits of %zu; id %zu is answered %s (stamp %lld, score %.6f); last it is picture %d stamp %lld, "
             "sent %.4f acked %.4f, asked %.4f to %.4f",
             a->n, a->limit, id, hit ? "there" : "absent", hit ? (long long)hit->stamp : 0, hit ? hit->score : 0,
             c->picture, (long long)c->stamp, c->sent, c->acked < DBL_MAX ? c->acked : -1, a->from, a->to);
}

bool history_allows(struct history *h, struct history_answer *a, char *why, size_t size)
{
    size_t best, first = 0, f = 0;
    if (!in_order(a)) {
        snprintf(why, size, "not best first, or too many");
        return false;
    }
    a->by_id = mem_new(h->n, sizeof(struct history_hit *));
    for (size_t i = 0; i < a->n; i++)
        a->by_id[a->hits[i].id] = &a->hits[i];
    pthread_mutex_lock(&h->lock);
    best = misfits_at(h, a, a->from, &first);
    /* what is possible changes only when a request is sent or answered */
    for (size_t id = 0; best > 0 && id < h->n; id++)
        for (size_t k = h->ids[id].n; best > 0 && k-- > 0 && h->ids[id].changes[k].acked >= a->from;) {
            const double moments[] = {h->ids[id].changes[k].sent, h->ids[id].changes[k].acked};
            for (size_t i = 0; best > 0 && i < 2; i++) {
                if (moments[i] < a->from || moments[i] > a->to)
                    continue;
                size_t wrong = misfits_at(h, a, moments[i], &f);
                if (wrong < best) {
                    best = wrong;
                    first = f;
                }
            }
        }
    if (best > 0)
        explain(h, a, first, why, size);
    pthread_mutex_unlock(&h->lock);
    free(a->by_id);
    return best == 0;
}
