/* manifest_split.c - the held-out part: stratified by label, equal content on one side. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/data/manifest.h"

enum { LEAST_HELD_OUT = 2, LEAST_CONTENTS = 4 };

/* One content of one label: where its items begin in the order by (label, content). */
struct content {
    uint64_t key; /* random for (seed, content): the lowest are held out */
    size_t first;
};

struct ordered {
    const struct manifest_item *item;
    size_t index;
};

static int by_label_and_content(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    if (x->item->label != y->item->label)
        return x->item->label < y->item->label ? -1 : 1;
    return strcmp(x->item->sha256, y->item->sha256);
}

static int by_key(const void *a, const void *b)
{
    const struct content *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

/* The first 16 digits of a SHA-256 are random already; the seed only has to reshuffle them. */
struct rng manifest_rng(const struct manifest_item *item, uint64_t seed)
{
    char digits[17];
    memcpy(digits, item->sha256, 16);
    digits[16] = 0;
    return rng_for(seed, strtoull(digits, NULL, 16), 0);
}

static uint64_t content_key(const struct manifest_item *item, uint64_t seed)
{
    struct rng r = manifest_rng(item, seed);
    return rng_next(&r);
}

static bool same_content(const struct ordered *a, const struct ordered *b)
{
    return strcmp(a->item->sha256, b->item->sha256) == 0;
}

size_t manifest_spared(size_t contents, double fraction)
{
    size_t wanted = max_size((size_t)(fraction * (double)contents + 0.5), LEAST_HELD_OUT);
    return contents >= LEAST_CONTENTS ? min_size(wanted, contents - LEAST_HELD_OUT) : 0;
}

/* Holds out the lowest keys of one label's contents, order[from..to). */
static void split_label(struct manifest *m, const struct ordered *order, size_t from, size_t to, double fraction,
                        uint64_t seed)
{
    struct content *contents = mem_new(to - from, sizeof *contents);
    size_t n = 0;
    for (size_t i = from; i < to; i++)
        if (i == from || !same_content(&order[i], &order[i - 1]))
            contents[n++] = (struct content){content_key(order[i].item, seed), i};
    qsort(contents, n, sizeof *contents, by_key);
    for (size_t c = 0; c < manifest_spared(n, fraction); c++)
        for (size_t i = contents[c].first; i < to && same_content(&order[i], &order[contents[c].first]); i++)
            m->items[order[i].index].held_out = true;
    free(contents);
}

struct hashed {
    const char *sha256;
    size_t index;
};

static int by_hash(const void *a, const void *b)
{
    return strcmp(((const struct hashed *)a)->sha256, ((const struct hashed *)b)->sha256);
}

/* All items by content; the caller's to free. */
static struct hashed *sort_by_hash(const struct manifest *m)
{
    struct hashed *all = mem_new(m->n, sizeof *all);
    for (size_t i = 0; i < m->n; i++)
        all[i] = (struct hashed){m->items[i].sha256, i};
    if (m->n)
        qsort(all, m->n, sizeof *all, by_hash);
    return all;
}

static bool has_content(const struct hashed *all, size_t n, const char *sha256)
{
    const struct hashed key = {sha256, 0};
    return n && bsearch(&key, all, n, sizeof *all, by_hash);
}

size_t manifest_leave_out(struct manifest *m, const struct manifest *learned)
{
    struct hashed *all = sort_by_hash(learned);
    size_t kept = 0, before = m->n;
    for (size_t i = 0; i < before; i++)
        if (has_content(all, learned->n, m->items[i].sha256))
            free(m->items[i].path);
        else
            m->items[kept++] = m->items[i];
    m->n = kept;
    free(all);
    return before - kept;
}

size_t manifest_give_back(struct manifest *m, const struct manifest *learned)
{
    struct hashed *all = sort_by_hash(learned);
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].held_out && has_content(all, learned->n, m->items[i].sha256)) {
            m->items[i].held_out = false;
            n++;
        }
    free(all);
    return n;
}

void manifest_add_trained(struct manifest *m, const struct manifest *from)
{
    for (size_t i = 0; i < from->n; i++)
        if (!from->items[i].held_out)
            manifest_add(m, from->items[i].path, from->items[i].sha256, NULL);
}

/* The same picture under two labels could still lie on both sides: training wins. */
static void keep_contents_together(struct manifest *m)
{
    struct hashed *all = sort_by_hash(m);
    for (size_t i = 0, j; i < m->n; i = j) {
        bool trained = false;
        for (j = i; j < m->n && strcmp(all[i].sha256, all[j].sha256) == 0; j++)
            trained |= !m->items[all[j].index].held_out;
        for (size_t k = i; trained && k < j; k++)
            m->items[all[k].index].held_out = false;
    }
    free(all);
}

void manifest_split(struct manifest *m, double fraction, uint64_t seed)
{
    struct ordered *order = mem_new(m->n, sizeof *order);
    for (size_t i = 0; i < m->n; i++) {
        m->items[i].held_out = false;
        order[i] = (struct ordered){&m->items[i], i};
    }
    qsort(order, m->n, sizeof *order, by_label_and_content);
    for (size_t from = 0, to; from < m->n; from = to) {
        for (to = from; to < m->n && order[to].item->label == order[from].item->label; to++)
            ;
        split_label(m, order, from, to, fraction, seed);
    }
    keep_contents_together(m);
    free(order);
}
