/* segment.c - sealed segments: built and searched through FAISS's C API. */
#include "index/vectors/segment.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "index/vectors/code.h"
#include "index/vectors/faiss_shim.h"
#include "index/vectors/segment_file.h"

enum {
    LINKS = 32,       /* M: on the upper levels; twice as many on the lowest */
    BREADTH = 100,    /* efConstruction */
    BATCH = 256,      /* members added between two looks at `stop` */
    GONE_PART = 10,   /* a file may have lost one in so many members */
};

struct segment {
    atomic_size_t refs;
    size_t d;
    struct members members; /* in the order of the graph's rows */
    FaissIndex *index;
};

static bool faiss_failed(struct err *e, const char *what)
{
    return err_set(e, ERR_INTERNAL, "%s: %s", what, faiss_get_last_error());
}

void members_add(struct members *m, size_t slot, int64_t number, const float *row)
{
    if (m->n == m->room) {
        m->room = m->room ? m->room * 2 : 1024;
        m->slots = mem_grow(m->slots, m->room, sizeof *m->slots);
        m->numbers = mem_grow(m->numbers, m->room, sizeof *m->numbers);
        m->rows = mem_grow(m->rows, m->room, sizeof *m->rows);
    }
    m->slots[m->n] = slot;
    m->numbers[m->n] = number;
    m->rows[m->n] = row;
    m->n++;
}

void members_clear(struct members *m)
{
    free(m->slots);
    free(m->numbers);
    free(m->rows);
    *m = (struct members){0};
}

static void members_append(struct members *m, const struct members *more)
{
    for (size_t i = 0; i < more->n; i++)
        members_add(m, more->slots[i], more->numbers[i], more->rows[i]);
}

static struct segment *new_segment(size_t d)
{
    struct segment *s = mem_new(1, sizeof *s);
    s->refs = 1;
    s->d = d;
    return s;
}

/* The base's graph again, to be added to. */
static bool copy_graph(struct segment *s, const struct segment *base, size_t room, struct err *e)
{
    struct faiss_graph graph;
    members_append(&s->members, &base->members);
    return (faiss_IndexHNSWRows_graph(base->index, &graph) == 0 &&
            faiss_IndexHNSWRows_new_from(&s->index, to_int(s->d), LINKS, BREADTH, room, &graph,
                                         s->members.rows) == 0) ||
           faiss_failed(e, "copying a graph");
}

struct segment *segment_build(const struct segment *base, size_t d, const struct members *more,
                              const atomic_bool *stop, struct err *e)
{
    struct segment *s = new_segment(d);
    if (base) {
        if (!copy_graph(s, base, base->members.n + more->n, e))
            goto failed;
    } else if (faiss_IndexHNSWRows_new(&s->index, to_int(d), LINKS, BREADTH, more->n) != 0) {
        faiss_failed(e, "making a graph");
        goto failed;
    }
    for (size_t i = 0; i < more->n; i += BATCH) {
        if (atomic_load_explicit(stop, memory_order_relaxed)) {
            err_set(e, ERR_BUSY, "stopped while building a graph");
            goto failed;
        }
        if (faiss_IndexHNSWRows_add(s->index, (idx_t)min_size(BATCH, more->n - i), more->rows + i) != 0) {
            faiss_failed(e, "building a graph");
            goto failed;
        }
    }
    members_append(&s->members, more);
    return s;
failed:
    segment_release(s);
    return NULL;
}

struct segment *segment_share(struct segment *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void segment_release(struct segment *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    faiss_Index_free(s->index);
    members_clear(&s->members);
    free(s);
}

const struct members *segment_members(const struct segment *s)
{
    return &s->members;
}

uint64_t segment_bytes(const struct segment *s)
{
    struct faiss_graph graph;
    if (faiss_IndexHNSWRows_graph(s->index, &graph) != 0)
        return 0;
    size_t member = sizeof *s->members.slots + sizeof *s->members.numbers + 2 * sizeof *s->members.rows;
    size_t row = s->d + sizeof(struct code) + sizeof *graph.levels + sizeof(size_t);
    return graph.n_links * sizeof *graph.links + graph.n * row + s->members.room * member;
}

/* ---- searching ---- */

struct asker {
    const struct segment *segment;
    const struct segment_query *q;
};

static int is_member(const void *context, idx_t row)
{
    const struct asker *a = context;
    return a->q->wanted(a->q->context, a->segment->members.slots[row]);
}

bool segment_search(const struct segment *s, const struct segment_query *q, struct scored *out, size_t *n,
                    struct err *e)
{
    struct asker asker = {s, q};
    FaissIDSelector *selector = NULL;
    FaissSearchParametersHNSW *params = NULL;
    float *scores = mem_new(q->k, sizeof *scores);
    idx_t *rows = mem_new(q->k, sizeof *rows);
    bool ok = (!q->wanted || faiss_IDSelectorCall_new(&selector, is_member, &asker) == 0) &&
              faiss_SearchParametersHNSW_new_with(&params, selector, to_int(q->ef)) == 0 &&
              faiss_Index_search_with_params(s->index, 1, q->vector, (idx_t)q->k, params, scores, rows) == 0;
    if (!ok)
        faiss_failed(e, "searching a graph");
    *n = 0;
    for (size_t i = 0; ok && i < q->k && rows[i] >= 0; i++)
        out[(*n)++] = (struct scored){scores[i], s->members.slots[rows[i]]};
    faiss_SearchParametersHNSW_free(params);
    faiss_IDSelector_free(selector);
    free(scores);
    free(rows);
    return ok;
}

/* ---- files ---- */

bool segment_save(const struct segment *s, const char *path, int64_t generation, struct err *e)
{
    struct segment_file f = {.generation = generation, .d = s->d, .M = LINKS, .numbers = s->members.numbers};
    if (faiss_IndexHNSWRows_graph(s->index, &f.graph) != 0)
        return faiss_failed(e, "reading a graph");
    uint64_t *digests = mem_new(s->members.n, sizeof *digests);
    for (size_t i = 0; i < s->members.n; i++)
        digests[i] = segment_file_digest(s->members.rows[i], s->d);
    f.digests = digests;
    bool ok = segment_file_write(&f, path, e);
    free(digests);
    return ok;
}

/* A graph without some of its rows: those that are kept move up, links to the others vanish.  While few go,
 * enough other links lead everywhere. */
struct pruned {
    struct faiss_graph graph;
    int32_t *levels, *links; /* owned */
};

enum { GONE = -1 };

/* new_row[i]: where row i goes, or GONE. */
static void prune(const struct faiss_graph *g, const int32_t *new_row, struct pruned *out)
{
    int32_t *levels = mem_new(g->n, sizeof *levels), *links = mem_new(g->n_links, sizeof *links);
    size_t n = 0, n_links = 0;
    int32_t entry = -1, top = 0;
    const int32_t *from = g->links;
    for (size_t i = 0; i < g->n; i++) {
        for (int32_t level = 0; level < g->levels[i]; level++) {
            size_t places = level ? LINKS : 2 * LINKS;
            int32_t *to = links + n_links, *end = to + places;
            for (size_t k = 0; new_row[i] != GONE && k < places && from[k] >= 0; k++)
                if (new_row[from[k]] != GONE)
                    *to++ = new_row[from[k]];
            if (new_row[i] != GONE) {
                while (to < end)
                    *to++ = -1;
                n_links += places;
            }
            from += places;
        }
        if (new_row[i] == GONE)
            continue;
        levels[n++] = g->levels[i];
        if (g->levels[i] > top) {
            top = g->levels[i];
            entry = new_row[i];
        }
    }
    *out = (struct pruned){{n, n_links, levels, links, entry}, levels, links};
}

/* Finds the file's members again.  Fills the segment's, and new_row. */
static bool find_members(struct segment *s, const struct segment_file *f, segment_find *find, void *arg,
                         int32_t *new_row, struct err *e)
{
    for (size_t i = 0; i < f->graph.n; i++) {
        size_t slot;
        const float *row;
        new_row[i] = GONE;
        if (!find(arg, f->numbers[i], &slot, &row) || segment_file_digest(row, f->d) != f->digests[i])
            continue;
        new_row[i] = (int32_t)s->members.n;
        members_add(&s->members, slot, f->numbers[i], row);
    }
    size_t gone = f->graph.n - s->members.n;
    return gone <= f->graph.n / GONE_PART ||
           err_set(e, ERR_CONFLICT, "%zu of the %zu members are gone", gone, f->graph.n);
}

/* A link may lead anywhere as far as the checksum knows; prune() and FAISS follow it. */
static bool check_links(const struct faiss_graph *g, struct err *e)
{
    for (size_t i = 0; i < g->n_links; i++)
        if (g->links[i] < -1 || g->links[i] >= (int64_t)g->n)
            return err_set(e, ERR_CORRUPT, "a link leads nowhere");
    return true;
}

struct segment *segment_load(const char *path, int64_t generation, size_t d, segment_find *find, void *arg,
                             struct err *e)
{
    struct segment_file f;
    struct pruned pruned = {0};
    struct segment *s = new_segment(d);
    int32_t *new_row = NULL;
    bool ok = false;
    if (!segment_file_read(path, &f, e))
        goto done;
    if (f.generation != generation || f.d != d || f.M != LINKS) {
        err_set(e, ERR_CONFLICT, "a segment of another generation or shape");
        goto done;
    }
    new_row = mem_new(f.graph.n, sizeof *new_row);
    if (!check_links(&f.graph, e) || !find_members(s, &f, find, arg, new_row, e))
        goto done;
    if (s->members.n < f.graph.n) {
        prune(&f.graph, new_row, &pruned);
        f.graph = pruned.graph;
    }
    ok = faiss_IndexHNSWRows_new_from(&s->index, to_int(d), LINKS, BREADTH, 0, &f.graph, s->members.rows) == 0 ||
         err_set(e, ERR_CORRUPT, "%s", faiss_get_last_error());
done:
    free(new_row);
    free(pruned.levels);
    free(pruned.links);
    segment_file_clear(&f);
    if (!ok) {
        segment_release(s);
        return NULL;
    }
    return s;
}
