/* snapshot.c - chunks and snapshots: made, shared, let go. */
#include "index/vectors/snapshot.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "index/vectors/segment.h"

enum { HUGE_PAGE = 2 << 20 };

/* Rows are read at addresses that nobody can guess; large pages spare a walk through the page tables for each
 * (12 % of a search at 512 dimensions).  The first chunk, which may stay nearly empty, has small ones. */
static float *new_rows(size_t d, bool first)
{
    size_t bytes = CHUNK_SLOTS * d * sizeof(float);
    if (first || bytes < HUGE_PAGE)
        return mem_aligned(bytes, 1);
    void *rows = NULL;
    if (posix_memalign(&rows, HUGE_PAGE, bytes) != 0)
        return mem_aligned(bytes, 1);
    madvise(rows, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a wish: fine when it is not granted */
    return rows;
}

struct chunk *chunk_new(size_t d, bool first)
{
    struct chunk *c = mem_new(1, sizeof *c);
    c->refs = 1;
    c->d = d;
    c->rows = new_rows(d, first);
    for (size_t i = 0; i < CHUNK_SLOTS; i++)
        atomic_init(&c->died[i], ALIVE);
    return c;
}

static struct chunk *chunk_share(struct chunk *c)
{
    if (c)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

static void chunk_release(struct chunk *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < CHUNK_SLOTS; i++) {
        free(c->slots[i].id);
        free(c->slots[i].label);
    }
    free(c->rows);
    free(c);
}

struct snapshot *snapshot_new(const struct snapshot *from, size_t more)
{
    size_t old = from ? from->n_chunks : 0, n = old + more;
    struct snapshot *p = mem_new(1, sizeof *p + n * sizeof *p->chunks);
    p->refs = 1;
    p->n_chunks = n;
    if (from)
        snapshot_seal(p, segment_share(from->sealed), from->sealed_end);
    for (size_t i = 0; i < old; i++)
        p->chunks[i] = chunk_share(from->chunks[i]);
    return p;
}

void snapshot_seal(struct snapshot *p, struct segment *sealed, size_t sealed_end)
{
    segment_release(p->sealed);
    p->sealed = sealed;
    p->sealed_end = sealed_end;
}

struct snapshot *snapshot_share(struct snapshot *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void snapshot_release(struct snapshot *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < p->n_chunks; i++)
        chunk_release(p->chunks[i]);
    segment_release(p->sealed);
    free(p);
}

void snapshot_drop_chunk(struct snapshot *p, size_t c)
{
    chunk_release(p->chunks[c]);
    p->chunks[c] = NULL;
}
