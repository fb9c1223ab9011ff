/* selection.c - a set of image numbers in pages of 64. */
#include "index/catalog/selection.h"

#include <stdlib.h>

void selection_add(struct selection *x, int64_t number, uint64_t bits)
{
    size_t at = (size_t)number / PAGE, in = (size_t)number % PAGE;
    if (number < 0 || at >= x->n_pages)
        return;
    if (!x->pages[at])
        x->pages[at] = arena_new(&x->arena, 1, sizeof **x->pages);
    x->pages[at]->present |= (uint64_t)1 << in;
    x->pages[at]->bits[in] |= bits;
}

struct selection *selection_new(size_t n_pages, struct err *e)
{
    struct selection *x = mem_new(1, sizeof *x);
    x->n_pages = n_pages;
    x->pages = mem_try(n_pages, sizeof *x->pages, e);
    if (x->pages)
        return x;
    free(x);
    return NULL;
}

bool selection_has(const struct selection *x, int64_t number)
{
    size_t at = (size_t)number / PAGE;
    return number >= 0 && at < x->n_pages && x->pages[at] && (x->pages[at]->present >> ((size_t)number % PAGE) & 1);
}

size_t selection_count(const struct selection *x)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n_pages; i++)
        n += x->pages[i] ? (size_t)__builtin_popcountll(x->pages[i]->present) : 0;
    return n;
}

int64_t *selection_numbers(const struct selection *x, size_t *n)
{
    int64_t *numbers = mem_new(selection_count(x) + 1, sizeof *numbers);
    *n = 0;
    for (size_t i = 0; i < x->n_pages; i++)
        for (uint64_t left = x->pages[i] ? x->pages[i]->present : 0; left; left &= left - 1)
            numbers[(*n)++] = (int64_t)(i * PAGE) + __builtin_ctzll(left);
    return numbers;
}

void selection_free(struct selection *x)
{
    if (!x)
        return;
    arena_clear(&x->arena);
    free(x->pages);
    free(x);
}
