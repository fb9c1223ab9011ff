/* judge_choice.c - which pictures are judged, and which ones vote: the same ones each time. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/judging/judge_parts.h"

struct candidate {
    const struct manifest_item *item;
    size_t index;
    uint64_t key; /* random, by seed and content */
    double place; /* where it stands among those of its label, from 0 to 1 */
};

static int by_index(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

/* Those with a label first among equals. */
static int by_content(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    const int order = strcmp(x->item->sha256, y->item->sha256);
    const bool bare_x = x->item->label == NO_LABEL, bare_y = y->item->label == NO_LABEL;
    return order ? order : bare_x != bare_y ? bare_x - bare_y : by_index(a, b);
}

static int by_label_and_key(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->item->label != y->item->label)
        return x->item->label < y->item->label ? -1 : 1;
    return x->key != y->key ? (x->key < y->key ? -1 : 1) : by_index(a, b);
}

static int by_place(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->place != y->place ? (x->place < y->place ? -1 : 1) : by_label_and_key(a, b);
}

/* The candidates as a choice, in the manifest's order. */
static void settle(struct choice *out, struct candidate *all, size_t n)
{
    qsort(all, n, sizeof *all, by_index);
    choice_clear(out);
    out->items = mem_new(n, sizeof *out->items);
    out->labels = mem_new(n, sizeof *out->labels);
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        out->items[i] = all[i].index;
        out->labels[i] = all[i].item->label;
    }
}

static struct candidate *candidates(const struct manifest *m, const struct choice *c)
{
    struct candidate *all = mem_new(c->n, sizeof *all);
    for (size_t i = 0; i < c->n; i++)
        all[i] = (struct candidate){.item = &m->items[c->items[i]], .index = c->items[i]};
    return all;
}

void choice_gather(const struct manifest *m, enum choice_side side, struct choice *out)
{
    struct candidate *all = mem_new(m->n, sizeof *all);
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < m->n; i++)
        if (side == CHOOSE_ALL || m->items[i].held_out == (side == CHOOSE_HELD_OUT))
            all[n++] = (struct candidate){.item = &m->items[i], .index = i};
    qsort(all, n, sizeof *all, by_content);
    for (size_t i = 0; i < n; i++)
        if (!kept || strcmp(all[i].item->sha256, all[kept - 1].item->sha256) != 0)
            all[kept++] = all[i];
    settle(out, all, kept);
    free(all);
}

void choice_keep_labelled(struct choice *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->labels[i] != NO_LABEL) {
            c->items[kept] = c->items[i];
            c->labels[kept++] = c->labels[i];
        }
    c->n = kept;
}

/* A label's pictures are spread evenly over 0 .. 1, so the lowest places hold the same part of each label. */
static void spread(struct candidate *all, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        struct rng r = manifest_rng(all[i].item, seed);
        all[i].key = rng_next(&r);
    }
    qsort(all, n, sizeof *all, by_label_and_key);
    for (size_t from = 0, to; from < n; from = to) {
        const int32_t label = all[from].item->label;
        struct rng r = rng_for(seed, (uint64_t)label, 1);
        const double offset = rng_unit(&r);
        for (to = from; to < n && all[to].item->label == label; to++)
            ;
        for (size_t i = from; i < to; i++)
            all[i].place = ((double)(i - from) + offset) / (double)(to - from);
    }
}

void choice_limit(struct choice *c, const struct manifest *m, size_t max, uint64_t seed)
{
    if (c->n <= max)
        return;
    struct candidate *all = candidates(m, c);
    spread(all, c->n, seed);
    qsort(all, c->n, sizeof *all, by_place);
    settle(c, all, max);
    free(all);
}

void choice_clear(struct choice *c)
{
    free(c->items);
    free(c->labels);
    *c = (struct choice){0};
}
