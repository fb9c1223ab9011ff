/* layout.c - greedy placement of buffers by size. */
#include "engine/kernels/layout.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

static size_t aligned(size_t size)
{
    return (size + LAYOUT_ALIGN - 1) / LAYOUT_ALIGN * LAYOUT_ALIGN;
}

static bool collide(const struct span *a, const struct span *b)
{
    bool in_time = a->first <= b->last && b->first <= a->last;
    return in_time && a->offset < b->offset + aligned(b->size) && b->offset < a->offset + aligned(a->size);
}

/* Whatever collides at an offset also does at every later one up to its own end, so we go there. */
static void place(struct span *s, struct span *const *placed, size_t n)
{
    s->offset = 0;
    for (size_t i = 0; i < n;) {
        if (collide(s, placed[i])) {
            s->offset = placed[i]->offset + aligned(placed[i]->size);
            i = 0;
        } else {
            i++;
        }
    }
}

static int larger_first(const void *a, const void *b)
{
    const struct span *x = *(struct span *const *)a, *y = *(struct span *const *)b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return x < y ? -1 : x > y;
}

size_t layout_place(struct span *spans, size_t n)
{
    struct span **order = mem_new(n, sizeof *order);
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        order[i] = &spans[i];
    qsort(order, n, sizeof *order, larger_first);
    for (size_t i = 0; i < n; i++) {
        place(order[i], order, i);
        total = max_size(total, order[i]->offset + aligned(order[i]->size));
    }
    free(order);
    return total;
}
