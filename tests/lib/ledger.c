/* ledger.c - clients that write down what they were promised, and the check after a crash that it holds. */
#include "tests/lib/ledger.h"

#include <ftw.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "tests/lib/client.h"
#include "tests/lib/expect.h"

enum { IDS = 12, PICTURES = 48, SIDE = 40, MAX_WRITERS = 32, MAX_ITEMS = 3, ABSENT = -1 };

#define IMAGES "/v1/collections/default/images"

struct state {   /* of one id: which picture, and the number that label and metadata carry */
    int picture; /* ABSENT: not there */
    int64_t stamp;
};

struct entry {
    char id[24];
    struct state sure;  /* acknowledged */
    struct state maybe; /* what the request without an answer would make of it */
    bool open;          /* there is such a request */
    bool seen;          /* by the check that is running */
};

struct writer {
    struct ledger *ledger;
    size_t number;
    pthread_t thread;
    struct rng rng;
    double out_since; /* when the request without an answer was sent; 0: none */
    size_t acks, refused;
};

struct ledger {
    size_t writers;
    struct writer writer[MAX_WRITERS];
    struct entry entries[MAX_WRITERS][IDS];
    struct buf pictures[PICTURES];
    char sha256[PICTURES][HASH_HEX];
    uint16_t port;
    atomic_bool stop;
    _Atomic int64_t stamp;
    double marked;
    struct ledger_report report;
};

struct ledger *ledger_new(size_t writers, uint64_t seed)
{
    struct ledger *l = mem_new(1, sizeof *l);
    l->writers = min_size(writers, MAX_WRITERS);
    for (size_t i = 0; i < PICTURES; i++) {
        draw_jpeg(i * 5 + 3, SIDE, &l->pictures[i]);
        hash_text(l->pictures[i].data, l->pictures[i].len, l->sha256[i]);
    }
    for (size_t w = 0; w < l->writers; w++)
        l->writer[w] = (struct writer){.ledger = l, .number = w, .rng = rng_for(seed, w, 0)};
    ledger_clear(l);
    return l;
}

void ledger_free(struct ledger *l)
{
    for (size_t i = 0; i < PICTURES; i++)
        buf_clear(&l->pictures[i]);
    free(l);
}

void ledger_clear(struct ledger *l)
{
    for (size_t w = 0; w < l->writers; w++)
        for (size_t i = 0; i < IDS; i++) {
            struct entry *n = &l->entries[w][i];
            *n = (struct entry){.sure.picture = ABSENT};
            snprintf(n->id, sizeof n->id, "w%zu-%zu", w, i);
        }
}

const struct ledger_report *ledger_report(const struct ledger *l)
{
    return &l->report;
}

/* ---- the writers ---- */

struct op { /* one request, and what it makes of which ids */
    struct entry *items[MAX_ITEMS];
    size_t n;
    const char *method, *type;
    char target[200];
    struct buf body;
};

static void plan(struct ledger *l, struct op *op, struct entry *e, int picture)
{
    e->maybe = (struct state){picture, picture == ABSENT ? 0 : atomic_fetch_add(&l->stamp, 1) + 1};
    op->items[op->n++] = e;
}

static void make_put(struct ledger *l, struct op *op, struct entry *e, struct rng *rng)
{
    plan(l, op, e, (int)rng_below(rng, PICTURES));
    long long stamp = e->maybe.stamp;
    snprintf(op->target, sizeof op->target, IMAGES "/%s?label=s%lld&metadata=%%7B%%22stamp%%22:%lld%%7D", e->id, stamp,
             stamp);
    op->method = "PUT";
    op->type = "image/jpeg";
    buf_add(&op->body, l->pictures[e->maybe.picture].data, l->pictures[e->maybe.picture].len);
}

static void make_patch(struct ledger *l, struct op *op, struct entry *e)
{
    plan(l, op, e, e->sure.picture);
    long long stamp = e->maybe.stamp;
    snprintf(op->target, sizeof op->target, IMAGES "/%s", e->id);
    op->method = "PATCH";
    op->type = "application/json";
    buf_print(&op->body, "{\"label\":\"s%lld\",\"metadata\":{\"stamp\":%lld}}", stamp, stamp);
}

static void make_delete(struct ledger *l, struct op *op, struct entry *e)
{
    plan(l, op, e, ABSENT);
    snprintf(op->target, sizeof op->target, IMAGES "/%s", e->id);
    op->method = "DELETE";
}

/* Three neighbouring ids in one body. */
static void make_batch(struct ledger *l, struct op *op, struct entry *first, struct rng *rng)
{
    snprintf(op->target, sizeof op->target, IMAGES);
    op->method = "POST";
    op->type = "application/json";
    buf_text(&op->body, "{\"images\":[");
    for (size_t i = 0; i < MAX_ITEMS; i++) {
        struct entry *e = first + i;
        plan(l, op, e, (int)rng_below(rng, PICTURES));
        const struct buf *jpeg = &l->pictures[e->maybe.picture];
        buf_print(&op->body, "%s{\"id\":\"%s\",\"label\":\"s%lld\",\"metadata\":{\"stamp\":%lld},\"image\":\"",
                  i ? "," : "", e->id, (long long)e->maybe.stamp, (long long)e->maybe.stamp);
        base64_encode(jpeg->data, jpeg->len, &op->body);
        buf_text(&op->body, "\"}");
    }
    buf_text(&op->body, "]}");
}

static void make_op(struct writer *w, struct op *op)
{
    struct ledger *l = w->ledger;
    uint64_t dice = rng_below(&w->rng, 100);
    struct entry *own = l->entries[w->number], *e = &own[rng_below(&w->rng, IDS)];
    bool there = e->sure.picture != ABSENT;
    if (dice < 8)
        make_batch(l, op, &own[rng_below(&w->rng, IDS - MAX_ITEMS + 1)], &w->rng);
    else if (dice < 28 && there)
        make_delete(l, op, e);
    else if (dice < 45 && there)
        make_patch(l, op, e);
    else
        make_put(l, op, e, &w->rng);
}

/* What is known of the items after the request; false when it is not known. */
static bool settle(struct writer *w, const struct op *op, bool answered, const struct reply *r)
{
    bool partly = strcmp(op->method, "POST") == 0 && r->body.data && strstr(r->body.data, "\"error\":{");
    if (answered)
        w->out_since = 0;
    if (!answered || partly || r->status == 500 || r->status == 507)
        return false; /* some of it may have happened */
    for (size_t i = 0; i < op->n; i++) {
        op->items[i]->open = false;
        if (r->status < 300)
            op->items[i]->sure = op->items[i]->maybe;
    }
    if (r->status < 300)
        w->acks++;
    else
        w->refused++;
    return true;
}

static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct client c = client_to(w->ledger->port);
    struct reply r = {0};
    bool known = true;
    while (known && !atomic_load(&w->ledger->stop)) {
        struct op op = {0};
        make_op(w, &op);
        for (size_t i = 0; i < op.n; i++)
            op.items[i]->open = true;
        w->out_since = clock_s();
        bool answered = client_ask(
            &c,
            &(struct ask){
                .method = op.method, .target = op.target, .type = op.type, .body = op.body.data, .len = op.body.len},
            &r);
        known = settle(w, &op, answered, &r);
        buf_clear(&op.body);
    }
    reply_clear(&r);
    client_close(&c);
    return NULL;
}

void ledger_start(struct ledger *l, uint16_t port)
{
    l->port = port;
    l->marked = 0;
    atomic_store(&l->stop, false);
    for (size_t w = 0; w < l->writers; w++)
        if (pthread_create(&l->writer[w].thread, NULL, write_on, &l->writer[w]) != 0)
            abort();
}

void ledger_mark(struct ledger *l)
{
    l->marked = clock_s();
}

void ledger_stop(struct ledger *l)
{
    l->report.in_flight = l->report.acks = l->report.refused = 0;
    atomic_store(&l->stop, true);
    for (size_t w = 0; w < l->writers; w++) {
        struct writer *one = &l->writer[w];
        pthread_join(one->thread, NULL);
        l->report.in_flight += one->out_since > 0 && one->out_since < l->marked;
        l->report.acks += one->acks;
        l->report.refused += one->refused;
        one->out_since = 0;
    }
}

/* ---- the check ---- */

static void wrong(struct ledger *l, size_t *counter, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void wrong(struct ledger *l, size_t *counter, const char *fmt, ...)
{
    (*counter)++;
    if (l->report.first[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->report.first, sizeof l->report.first, fmt, ap);
    va_end(ap);
}

static struct entry *entry_of(struct ledger *l, const char *id)
{
    size_t w, i;
    if (sscanf(id, "w%zu-%zu", &w, &i) != 2 || w >= l->writers || i >= IDS)
        return NULL;
    return &l->entries[w][i];
}

/* What a row of the list says; ABSENT when its picture is none of ours. */
static struct state state_of(const struct ledger *l, const struct json *row, bool *agrees)
{
    struct state s = {.picture = ABSENT};
    char label[32];
    for (int i = 0; i < PICTURES; i++)
        if (strcmp(l->sha256[i], text_at(row, "sha256")) == 0)
            s.picture = i;
    s.stamp = int_at(row, "metadata.stamp");
    snprintf(label, sizeof label, "s%lld", (long long)s.stamp);
    *agrees = strcmp(label, text_at(row, "label")) == 0;
    return s;
}

static bool same(struct state a, struct state b)
{
    return a.picture == b.picture && (a.picture == ABSENT || a.stamp == b.stamp);
}

static void check_row(struct ledger *l, const struct json *row)
{
    struct ledger_report *r = &l->report;
    const char *id = text_at(row, "id");
    struct entry *e = entry_of(l, id);
    bool agrees;
    struct state now = state_of(l, row, &agrees);
    if (!e || e->seen) {
        wrong(l, &r->phantom, "%s is %s", id, e ? "there twice" : "not ours");
        return;
    }
    e->seen = true;
    r->present++;
    if (same(now, e->sure) || (e->open && same(now, e->maybe))) {
        if (!agrees)
            wrong(l, &r->half, "%s: label and metadata are of different writes", id);
    } else if (e->open && (now.picture == e->maybe.picture || now.stamp == e->maybe.stamp)) {
        wrong(l, &r->half, "%s: picture %d stamp %lld, neither before nor after", id, now.picture,
              (long long)now.stamp);
    } else {
        wrong(l, e->sure.picture == ABSENT ? &r->phantom : &r->lost,
              "%s: picture %d stamp %lld, acknowledged picture %d stamp %lld", id, now.picture, (long long)now.stamp,
              e->sure.picture, (long long)e->sure.stamp);
    }
    e->sure = now;
}

static void check_missing(struct ledger *l)
{
    for (size_t w = 0; w < l->writers; w++)
        for (size_t i = 0; i < IDS; i++) {
            struct entry *e = &l->entries[w][i];
            bool may_be_absent = e->sure.picture == ABSENT || (e->open && e->maybe.picture == ABSENT);
            if (!e->seen && !may_be_absent)
                wrong(l, &l->report.lost, "%s is not there, acknowledged picture %d stamp %lld", e->id, e->sure.picture,
                      (long long)e->sure.stamp);
            if (!e->seen)
                e->sure = (struct state){.picture = ABSENT};
            e->open = false;
        }
}

static void check_list(struct ledger *l, struct client *c)
{
    for (size_t w = 0; w < l->writers; w++)
        for (size_t i = 0; i < IDS; i++)
            l->entries[w][i].seen = false;
    struct json *list = expect_get(c, 200, IMAGES "?limit=1000"), *all = expect_get(c, 200, "/v1/collections/default");
    for (size_t i = 0; i < count_at(list, "data"); i++)
        check_row(l, json_item(value_at(list, "data"), i));
    if ((size_t)int_at(all, "images") != count_at(list, "data"))
        wrong(l, &l->report.half, "the collection counts %lld images, the list has %zu",
              (long long)int_at(all, "images"), count_at(list, "data"));
    json_free(list);
    json_free(all);
    check_missing(l);
}

static void check_bytes(struct ledger *l, struct client *c, const struct entry *e)
{
    struct reply r = {0};
    char target[200], hex[HASH_HEX] = "";
    snprintf(target, sizeof target, IMAGES "/%s/content", e->id);
    client_ask(c, &(struct ask){.method = "GET", .target = target}, &r);
    if (r.status == 200)
        hash_text(r.body.data, r.body.len, hex);
    if (strcmp(hex, l->sha256[e->sure.picture]) != 0)
        wrong(l, &l->report.lost, "%s: the file is not what was acknowledged (status %d)", e->id, r.status);
    reply_clear(&r);
}

/* A search by a picture must give exactly the ids that hold it with a score of 1. */
static void check_search(struct ledger *l, struct client *c, int which)
{
    size_t holders = 0, found = 0;
    struct json *answer = expect_json(c, 200,
                                      &(struct ask){.method = "POST",
                                                    .target = "/v1/collections/default/search?limit=1000",
                                                    .type = "image/jpeg",
                                                    .body = l->pictures[which].data,
                                                    .len = l->pictures[which].len});
    const struct json *data = value_at(answer, "data");
    for (size_t w = 0; w < l->writers; w++)
        for (size_t i = 0; i < IDS; i++)
            holders += l->entries[w][i].sure.picture == which;
    for (size_t i = 0; i < json_count(data); i++) {
        const struct json *hit = json_item(data, i);
        const struct entry *e = entry_of(l, text_at(hit, "id"));
        if (!e || e->sure.picture == ABSENT)
            wrong(l, &l->report.phantom, "a search gives %s, which is not there", text_at(hit, "id"));
        else if (e->sure.picture == which)
            found += real_at(hit, "score") > 0.99999;
        else if (real_at(hit, "score") > 0.99999)
            wrong(l, &l->report.stale, "%s is found by picture %d and holds %d", e->id, which, e->sure.picture);
    }
    if (found != holders)
        wrong(l, &l->report.unfound, "picture %d is held by %zu ids, the search finds %zu", which, holders, found);
    json_free(answer);
}

/* ---- files that nobody names ---- */

static struct ledger *walking;

static int walk(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    UNUSED(st);
    UNUSED(at);
    const char *name = strrchr(path, '/') + 1;
    bool named = false;
    for (size_t w = 0; w < walking->writers; w++)
        for (size_t i = 0; i < IDS; i++) {
            int p = walking->entries[w][i].sure.picture;
            named = named || (p != ABSENT && strcmp(walking->sha256[p], name) == 0);
        }
    if (kind == FTW_F && !named)
        wrong(walking, &walking->report.orphans, "no id names the file %s", name);
    return 0;
}

static void check_orphans(struct ledger *l, const struct server *s)
{
    char path[300];
    snprintf(path, sizeof path, "%s/blobs", s->dir);
    walking = l;
    nftw(path, walk, 16, FTW_PHYS);
}

bool ledger_check(struct ledger *l, const struct server *s)
{
    struct ledger_report *r = &l->report;
    struct client c = client_to(s->port);
    r->present = r->lost = r->phantom = r->half = r->unfound = r->stale = r->orphans = 0;
    r->first[0] = 0;
    check_list(l, &c);
    for (size_t w = 0; w < l->writers; w++)
        for (size_t i = 0; i < IDS; i++)
            if (l->entries[w][i].sure.picture != ABSENT)
                check_bytes(l, &c, &l->entries[w][i]);
    for (int i = 0; i < PICTURES; i++)
        check_search(l, &c, i);
    check_orphans(l, s);
    client_close(&c);
    return r->lost + r->phantom + r->half + r->unfound + r->stale + r->orphans == 0;
}
