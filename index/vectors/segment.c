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
    LINKS = 32,     /* M: on the upper levels; twice as many on the lowest */
    BREADTH = 100,  /* efConstruction */
    BATCH = 256,    /* rows added between two looks at `stop` */
    GONE_PART = 10, /* a file may have lost one in so many rows */
};

struct segment {
    atomic_size_t refs;
    struct members members; /* their rows are the graph's */
    FaissIndex *index;
};

static bool faiss_failed(struct err *e, const char *what)
{
    return err_set(e, ERR_INTERNAL, "%s: %s", what, faiss_get_last_error());
}

static struct segment *new_segment(size_t d)
{
    struct segment *s = mem_new(1, sizeof *s);
    s->refs = 1;
    s->members.d = d;
    return s;
}

/* The base's graph again, to be added to; or an empty one. */
static bool begin_graph(struct segment *s, const struct segment *base, struct err *e)
{
    struct faiss_graph graph;
    int d = to_int(s->members.d);
    size_t room = s->members.n_rows;
    bool ok = base ? faiss_IndexHNSWRows_graph(base->index, &graph) == 0 &&
                         faiss_IndexHNSWRows_new_from(&s->index, d, LINKS, BREADTH, room, &graph, s->members.rows) == 0
                   : faiss_IndexHNSWRows_new(&s->index, d, LINKS, BREADTH, room) == 0;
    return ok || faiss_failed(e, "making a graph");
}

struct segment *segment_build(const struct segment *base, const struct members *more, const atomic_bool *stop,
                              struct err *e)
{
    struct segment *s = new_segment(more->d);
    struct members *m = &s->members;
    members_reserve(m, more->n + (base ? base->members.n : 0));
    if (base)
        members_append(m, &base->members);
    size_t row = m->n_rows;
    members_append(m, more);
    bool ok = begin_graph(s, base, e);
    for (; ok && row < m->n_rows; row += min_size(BATCH, m->n_rows - row)) {
        if (atomic_load_explicit(stop, memory_order_relaxed))
            ok = err_set(e, ERR_BUSY, "stopped while building a graph");
        else if (faiss_IndexHNSWRows_add(s->index, (idx_t)min_size(BATCH, m->n_rows - row), m->rows + row) != 0)
            ok = faiss_failed(e, "building a graph");
    }
    if (ok)
        return s;
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
    const struct members *m = &s->members;
    size_t member = sizeof *m->slots + sizeof *m->numbers + sizeof *m->digests + sizeof *m->twins +
                    2 * sizeof *m->rows + sizeof *m->heads;
    size_t row = m->d + sizeof(struct code) + sizeof *graph.levels + 4 * sizeof(size_t); /* and the digests' table */
    return graph.n_links * sizeof *graph.links + graph.n * row + m->room * member;
}

/* ---- searching ---- */

struct asker {
    const struct members *members;
    const struct segment_query *q;
};

static bool is_wanted(const struct asker *a, size_t member)
{
    return !a->q->wanted || a->q->wanted(a->q->context, a->members->slots[member]);
}

/* A row is as good as the best of its images. */
static int is_row_wanted(const void *context, idx_t row)
{
    const struct asker *a = context;
    for (uint32_t i = a->members->heads[row]; i != MEMBERS_END; i = a->members->twins[i])
        if (is_wanted(a, i))
            return true;
    return false;
}

/* All wanted images of the rows; their number is given.  Only counts while out is NULL. */
static size_t expand(const struct asker *a, const idx_t *rows, const float *scores, size_t k, struct scored *out)
{
    size_t n = 0;
    for (size_t r = 0; r < k && rows[r] >= 0; r++) {
        for (uint32_t i = a->members->heads[rows[r]]; i != MEMBERS_END; i = a->members->twins[i]) {
            if (!is_wanted(a, i))
                continue;
            if (out)
                out[n] = (struct scored){scores[r], a->members->slots[i]};
            n++;
        }
    }
    return n;
}

bool segment_search(const struct segment *s, const struct segment_query *q, struct scored **out, size_t *n,
                    struct err *e)
{
    struct asker asker = {&s->members, q};
    FaissIDSelector *selector = NULL;
    FaissSearchParametersHNSW *params = NULL;
    float *scores = mem_new(q->k, sizeof *scores);
    idx_t *rows = mem_new(q->k, sizeof *rows);
    *out = NULL;
    *n = 0;
    bool ok = (!q->wanted || faiss_IDSelectorCall_new(&selector, is_row_wanted, &asker) == 0) &&
              faiss_SearchParametersHNSW_new_with(&params, selector, to_int(q->ef)) == 0 &&
              faiss_Index_search_with_params(s->index, 1, q->vector, (idx_t)q->k, params, scores, rows) == 0;
    if (ok) {
        *out = mem_new(expand(&asker, rows, scores, q->k, NULL), sizeof **out);
        *n = expand(&asker, rows, scores, q->k, *out);
    } else {
        faiss_failed(e, "searching a graph");
    }
    faiss_SearchParametersHNSW_free(params);
    faiss_IDSelector_free(selector);
    free(scores);
    free(rows);
    return ok;
}

/* ---- files ---- */

bool segment_save(const struct segment *s, const char *path, int64_t generation, struct err *e)
{
    const struct members *m = &s->members;
    struct segment_file f = {.generation = generation,
                             .d = m->d,
                             .M = LINKS,
                             .n_members = m->n,
                             .numbers = m->numbers,
                             .digests = m->digests};
    if (faiss_IndexHNSWRows_graph(s->index, &f.graph) != 0)
        return faiss_failed(e, "reading a graph");
    int32_t *rows = mem_new(m->n, sizeof *rows);
    for (size_t r = 0; r < m->n_rows; r++)
        for (uint32_t i = m->heads[r]; i != MEMBERS_END; i = m->twins[i])
            rows[i] = (int32_t)r;
    f.rows = rows;
    bool ok = segment_file_write(&f, path, e);
    free(rows);
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

/* The file's members, ordered by row: first[r], then next[i], until MEMBERS_END. */
static void order_by_row(const struct segment_file *f, uint32_t *first, uint32_t *next)
{
    for (size_t r = 0; r < f->graph.n; r++)
        first[r] = MEMBERS_END;
    for (size_t i = f->n_members; i-- > 0;) {
        next[i] = first[f->rows[i]];
        first[f->rows[i]] = (uint32_t)i;
    }
}

/* Whether this is the first time; a file may have an image twice, as it was and as it was put again. */
static bool is_first(struct table *seen, int64_t number)
{
    uint64_t key = table_mix((uint64_t)number);
    bool first = table_first(seen, key) == TABLE_END;
    if (first)
        table_add(seen, key, 0);
    return first;
}

/* Finds the file's members again.  Fills the segment's, and new_row.  A row lives while one of its images does. */
static bool find_members(struct segment *s, const struct segment_file *f, segment_find *find, void *arg,
                         int32_t *new_row, struct err *e)
{
    struct members *m = &s->members;
    uint32_t *first = mem_new(f->graph.n, sizeof *first), *next = mem_new(f->n_members, sizeof *next);
    struct table seen = {0};
    bool ok = true;
    order_by_row(f, first, next);
    members_reserve(m, f->n_members);
    for (size_t r = 0; ok && r < f->graph.n; r++) {
        size_t expected = m->n_rows, slot;
        const float *row;
        new_row[r] = GONE;
        for (uint32_t i = first[r]; i != MEMBERS_END; i = next[i]) {
            if (!find(arg, f->numbers[i], &slot, &row) || members_digest(row, f->d) != f->digests[i] ||
                !is_first(&seen, f->numbers[i]))
                continue;
            ok &= members_add(m, slot, f->numbers[i], f->digests[i], row) == expected;
            new_row[r] = (int32_t)expected;
        }
    }
    free(first);
    free(next);
    table_clear(&seen);
    if (!ok)
        return err_set(e, ERR_CORRUPT, "rows and vectors do not fit together");
    size_t gone = f->graph.n - m->n_rows;
    return gone <= f->graph.n / GONE_PART || err_set(e, ERR_STALE, "%zu of the %zu rows are gone", gone, f->graph.n);
}

/* Links may lead anywhere as far as the checksum knows; prune() and FAISS follow them. */
static bool check_references(const struct segment_file *f, struct err *e)
{
    for (size_t i = 0; i < f->graph.n_links; i++)
        if (f->graph.links[i] < -1 || f->graph.links[i] >= (int64_t)f->graph.n)
            return err_set(e, ERR_CORRUPT, "a link leads nowhere");
    for (size_t i = 0; i < f->n_members; i++)
        if (f->rows[i] < 0 || f->rows[i] >= (int64_t)f->graph.n)
            return err_set(e, ERR_CORRUPT, "a member has no row");
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
    if (!check_references(&f, e) || !find_members(s, &f, find, arg, new_row, e))
        goto done;
    if (s->members.n_rows < f.graph.n) {
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
