/* pieces.c - where the values that conditions name cut the line of all values. */
#include "index/catalog/pieces.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

static int by_value(const void *a, const void *b)
{
    return scalar_compare(a, b);
}

static void take_values(struct pieces *d, const struct filter_leaf *leaf, enum scalar_kind kind)
{
    for (size_t i = 0; i < leaf->n_values; i++)
        if (leaf->values[i].kind == kind)
            d->at[d->n++] = leaf->values[i];
    for (size_t i = 0; i < leaf->n_bounds && leaf->test == TEST_RANGE; i++)
        if (leaf->bounds[i].value.kind == kind)
            d->at[d->n++] = leaf->bounds[i].value;
}

static void unite_equal(struct pieces *d)
{
    size_t n = 0;
    qsort(d->at, d->n, sizeof *d->at, by_value);
    for (size_t i = 0; i < d->n; i++)
        if (n == 0 || scalar_compare(&d->at[i], &d->at[n - 1]) != 0)
            d->at[n++] = d->at[i];
    d->n = n;
}

static size_t place_of(const struct pieces *d, const struct scalar *v)
{
    const struct scalar *found = bsearch(v, d->at, d->n, sizeof *d->at, by_value);
    return (size_t)(found - d->at); /* each value of a leaf is there */
}

/* The pieces first to last that keep a leaf's bounds. */
static void mark_range(struct pieces *d, const struct filter_leaf *leaf)
{
    size_t first = 0, last = 2 * d->n;
    for (size_t i = 0; i < leaf->n_bounds; i++) {
        const struct bound *b = &leaf->bounds[i];
        size_t point = 2 * place_of(d, &b->value) + 1;
        if (b->below)
            last = min_size(last, b->strict ? point - 1 : point);
        else
            first = max_size(first, b->strict ? point + 1 : point);
    }
    for (size_t i = first; i <= last; i++)
        d->met[i] |= leaf->bit;
}

static void mark(struct pieces *d, const struct filter_leaf *leaf, enum scalar_kind kind)
{
    bool everywhere = leaf->test == TEST_EXCEPT || leaf->test == TEST_EXISTS;
    for (size_t i = 0; everywhere && i <= 2 * d->n; i++)
        d->met[i] |= leaf->bit;
    for (size_t i = 0; i < leaf->n_values; i++)
        if (leaf->values[i].kind == kind && leaf->test == TEST_ANY)
            d->met[2 * place_of(d, &leaf->values[i]) + 1] |= leaf->bit;
        else if (leaf->values[i].kind == kind)
            d->met[2 * place_of(d, &leaf->values[i]) + 1] &= ~leaf->bit;
    if (leaf->test == TEST_RANGE && kind == SCALAR_NUMBER)
        mark_range(d, leaf);
}

void pieces_make(struct pieces *d, const struct filter *f, uint64_t leaves, enum scalar_kind kind)
{
    size_t room = 0;
    for (size_t i = 0; i < f->n_leaves; i++)
        if (f->leaves[i]->bit & leaves)
            room += f->leaves[i]->n_values + f->leaves[i]->n_bounds;
    *d = (struct pieces){.at = mem_new(room + 1, sizeof *d->at)};
    for (size_t i = 0; i < f->n_leaves; i++)
        if (f->leaves[i]->bit & leaves)
            take_values(d, f->leaves[i], kind);
    unite_equal(d);
    d->met = mem_new(2 * d->n + 1, sizeof *d->met);
    for (size_t i = 0; i < f->n_leaves; i++)
        if (f->leaves[i]->bit & leaves)
            mark(d, f->leaves[i], kind);
}

void pieces_clear(struct pieces *d)
{
    free(d->at);
    free(d->met);
}
