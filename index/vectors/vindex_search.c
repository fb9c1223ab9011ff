/* vindex_search.c - one search: what it may find, how it looks, and what it answers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "index/vectors/scan.h"
#include "index/vectors/segment.h"
#include "index/vectors/vindex_parts.h"

/* What a search sees.  Taken under the lock in one go, so that it is of one moment. */
struct scope {
    struct snapshot *snapshot;
    size_t count, sealed_living;
    uint64_t version;
    bool is_listed;
    size_t *listed; /* the slots of a filter, ascending; owned */
    size_t n_listed, n_listed_sealed;
    uint8_t *bitmap;  /* of listed slots below sealed_end; owned; NULL until it is needed */
    size_t *excluded; /* ascending; owned */
    size_t n_excluded;
};

static int by_value(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static void scope_open(struct scope *s, struct vindex *x, const struct search *q, const int64_t *numbers, size_t n)
{
    *s = (struct scope){.is_listed = numbers != NULL || q->filter != NULL};
    s->listed = mem_new(n, sizeof *s->listed);
    s->excluded = mem_new(q->n_exclude, sizeof *s->excluded);
    pthread_rwlock_rdlock(&x->lock);
    s->snapshot = snapshot_share(x->snapshot);
    s->count = x->count;
    s->version = x->version;
    s->sealed_living = x->sealed_living;
    for (size_t i = 0; i < n; i++) {
        size_t slot = vindex_find_number(x, numbers[i]);
        if (slot != NO_SLOT)
            s->listed[s->n_listed++] = slot;
    }
    for (size_t i = 0; i < q->n_exclude; i++) {
        size_t slot = vindex_find_id(x, q->exclude[i]);
        if (slot != NO_SLOT)
            s->excluded[s->n_excluded++] = slot;
    }
    pthread_rwlock_unlock(&x->lock);
    qsort(s->listed, s->n_listed, sizeof *s->listed, by_value);
    qsort(s->excluded, s->n_excluded, sizeof *s->excluded, by_value);
    while (s->n_listed_sealed < s->n_listed && s->listed[s->n_listed_sealed] < s->snapshot->sealed_end)
        s->n_listed_sealed++;
}

static void scope_close(struct scope *s)
{
    snapshot_release(s->snapshot);
    free(s->listed);
    free(s->bitmap);
    free(s->excluded);
}

static bool is_in(const size_t *sorted, size_t n, size_t slot)
{
    return n > 0 && bsearch(&slot, sorted, n, sizeof *sorted, by_value) != NULL;
}

static bool is_wanted(const struct scope *s, size_t slot)
{
    return snapshot_alive(s->snapshot, slot, s->version) && !is_in(s->excluded, s->n_excluded, slot);
}

/* Ties are broken by id; two of one id only while one of them is being replaced. */
static int order_by_id(const void *context, size_t a, size_t b)
{
    const struct scope *s = context;
    int order = strcmp(snapshot_slot(s->snapshot, a)->id, snapshot_slot(s->snapshot, b)->id);
    return order ? order : (a > b) - (a < b);
}

/* Exactly: the slots of the filter, from the i-th on, one by one. */
static void scan_listed(const struct scope *s, const float *query, size_t d, size_t i, struct top *top)
{
    for (; i < s->n_listed; i++) {
        size_t slot = s->listed[i];
        float score = scan_product(snapshot_row(s->snapshot, slot), query, d);
        if (top_wants(top, score) && is_wanted(s, slot))
            top_offer(top, score, slot);
    }
}

/* Exactly: all slots from `from` on, chunk by chunk. */
static void scan_all(const struct scope *s, const float *query, size_t d, size_t from, struct top *top)
{
    float scores[CHUNK_SLOTS];
    while (from < s->count) {
        size_t end = min_size(s->count, (from / CHUNK_SLOTS + 1) * CHUNK_SLOTS), n = end - from;
        if (snapshot_chunk(s->snapshot, from)) {
            scan_products(snapshot_row(s->snapshot, from), n, d, query, scores);
            for (size_t i = 0; i < n; i++)
                if (top_wants(top, scores[i]) && is_wanted(s, from + i))
                    top_offer(top, scores[i], from + i);
        }
        from = end;
    }
}

/* ---- through the graph ---- */

/* The excluded are few: they are found like others, and dropped. */
static bool may_be_found(const void *context, size_t slot)
{
    const struct scope *s = context;
    return (!s->bitmap || s->bitmap[slot / 8] >> slot % 8 & 1) && snapshot_alive(s->snapshot, slot, s->version);
}

static void make_bitmap(struct scope *s)
{
    s->bitmap = mem_new(s->snapshot->sealed_end / 8 + 1, 1);
    for (size_t i = 0; i < s->n_listed_sealed; i++)
        s->bitmap[s->listed[i] / 8] |= (uint8_t)(1 << s->listed[i] % 8);
}

/* Keeping `ef` wanted members in sight means passing by the others that are as near: the fewer are wanted, the
 * more.  When they are few, it is less work to look at each of them.  A visit through the graph costs about
 * three times what one in a row does, and each wanted member takes some fifteen of them (measured with 100,000
 * vectors of 512 and lists of 1 to 40 %: the lines cross at 17 %). */
static bool is_graph_worth_it(const struct scope *s, size_t wanted, size_t ef)
{
    enum { VISITS = 45 };
    size_t members = segment_members(s->snapshot->sealed)->n;
    return (double)wanted * (double)wanted > VISITS * (double)ef * (double)members;
}

/* False when the graph is of no use, or did not find what there is: then nothing was offered. */
static bool search_sealed(struct scope *s, const float *query, const struct search *q, struct top *top)
{
    size_t wanted = s->is_listed ? s->n_listed_sealed : s->sealed_living;
    size_t k = min_size(q->limit + s->n_excluded, wanted), n = 0;
    size_t ef = max_size(q->ef ? q->ef : SEGMENT_EF, k + k / 2);
    if (q->exact || !s->snapshot->sealed || !is_graph_worth_it(s, wanted, ef))
        return false;
    if (s->is_listed)
        make_bitmap(s);
    bool all = !s->is_listed && wanted == segment_members(s->snapshot->sealed)->n;
    struct segment_query sq = {.vector = query, .k = k, .ef = ef, .wanted = all ? NULL : may_be_found, .context = s};
    struct scored *found = NULL;
    struct err why = {0};
    bool ok = segment_search(s->snapshot->sealed, &sq, &found, &n, &why) && n >= k;
    if (why.code)
        log_error("graph_search", "error=\"%s\"", why.text);
    for (size_t i = 0; ok && i < n; i++)
        if (!is_in(s->excluded, s->n_excluded, found[i].slot))
            top_offer(top, found[i].score, found[i].slot);
    free(found);
    return ok;
}

/* What the sealed graph does not answer is scanned. */
static void look(struct scope *s, const float *query, size_t d, const struct search *q, struct top *top)
{
    bool sealed = search_sealed(s, query, q, top);
    if (s->is_listed)
        scan_listed(s, query, d, sealed ? s->n_listed_sealed : 0, top);
    else
        scan_all(s, query, d, sealed ? s->snapshot->sealed_end : 0, top);
}

/* The products that found the best are off by some 1e-7: the very picture that is asked by would not be at 1. */
static void score_exactly(const struct scope *s, const float *query, size_t d, struct top *top)
{
    for (size_t i = 0; i < top->n; i++)
        top->items[i].score = (float)scan_cosine(snapshot_row(s->snapshot, top->items[i].slot), query, d);
}

/* Copies the answer into the arena.  Labels may change meanwhile, hence the lock. */
static void answer(struct vindex *x, const struct scope *s, const struct search *q, const struct top *top,
                   struct hits *out)
{
    size_t d = x->o.dimensions, n = 0;
    while (n < top->n && (!q->has_threshold || top->items[n].score >= q->threshold))
        n++;
    out->items = arena_new(&out->arena, n, sizeof *out->items);
    out->n = n;
    pthread_rwlock_rdlock(&x->lock);
    for (size_t i = 0; i < n; i++) {
        const struct slot *slot = snapshot_slot(s->snapshot, top->items[i].slot);
        out->items[i] = (struct hit){
            .number = slot->number,
            .revision = slot->revision,
            .id = arena_text(&out->arena, slot->id),
            .label = arena_text(&out->arena, slot->label),
            .score = fmaxf(-1, fminf(1, top->items[i].score)), /* rounding may have led beyond */
        };
    }
    pthread_rwlock_unlock(&x->lock);
    for (size_t i = 0; q->with_vector && i < n; i++) {
        float *copy = arena_new(&out->arena, d, sizeof *copy);
        out->items[i].vector = memcpy(copy, snapshot_row(s->snapshot, top->items[i].slot), d * sizeof *copy);
    }
}

/* The query at unit length, for the caller to free(). */
static float *unit_query(const float *vector, size_t d, struct err *e)
{
    double sum = 0;
    for (size_t i = 0; i < d; i++)
        sum += (double)vector[i] * (double)vector[i];
    if (!isfinite(sum) || sum <= 0) {
        err_field(e, "vector", sum <= 0 ? "all values are zero" : "not all values are finite numbers");
        return NULL;
    }
    double scale = 1 / sqrt(sum);
    float *unit = mem_aligned(d, sizeof *unit);
    for (size_t i = 0; i < d; i++)
        unit[i] = (float)((double)vector[i] * scale);
    return unit;
}

bool vindex_search(struct vindex *x, const struct search *q, const int64_t *numbers, size_t n_numbers, struct hits *out,
                   struct err *e)
{
    if (q->limit < 1)
        return err_field(e, "limit", "must be at least 1");
    size_t d = x->o.dimensions;
    float *query = unit_query(q->vector, d, e);
    if (!query)
        return false;
    struct scope scope;
    struct top top;
    scope_open(&scope, x, q, numbers, n_numbers);
    top_init(&top, q->limit, order_by_id, &scope);
    look(&scope, query, d, q, &top);
    score_exactly(&scope, query, d, &top);
    top_sort(&top);
    answer(x, &scope, q, &top, out);
    top_clear(&top);
    scope_close(&scope);
    free(query);
    return true;
}
