/* sampler.c - permutations and P x K batches. */
#include "engine/data/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"

struct group { /* the items of one label: items[first .. first + n) */
    size_t first, n;
};

struct sampler {
    size_t *items; /* sorted by label for P x K */
    size_t n, batch, per_label, batches;
    struct group *groups;
    size_t n_groups;
    uint64_t seed, epoch; /* of `order`; UINT64_MAX: none yet */
    size_t *order;        /* a permutation of items, or of groups */
};

static void shuffle(size_t *a, size_t n, struct rng *r)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(r, i), t = a[i - 1];
        a[i - 1] = a[j];
        a[j] = t;
    }
}

/* Items by label, in the manifest's order within a label: a counting sort. */
static void group_items(struct sampler *s, const struct manifest *m, const size_t *indices, size_t n)
{
    size_t *start = mem_new(m->n_labels + 1, sizeof *start), total = 0;
    for (size_t i = 0; i < n; i++)
        if (m->items[indices[i]].label != NO_LABEL)
            start[m->items[indices[i]].label]++;
    s->groups = mem_new(m->n_labels, sizeof *s->groups);
    for (size_t l = 0; l < m->n_labels; l++) {
        size_t count = start[l];
        start[l] = total;
        if (count >= 2) {
            s->groups[s->n_groups++] = (struct group){total, count};
        }
        total += count;
    }
    for (size_t i = 0; i < n; i++)
        if (m->items[indices[i]].label != NO_LABEL)
            s->items[start[m->items[indices[i]].label]++] = indices[i];
    free(start);
}

static bool check(const struct sampler *s, struct err *e)
{
    if (!s->per_label)
        return s->n >= s->batch || err_field(e, "batch_size", "is %zu, but there are %zu images", s->batch, s->n);
    if (s->batch % s->per_label)
        return err_field(e, "batch_size", "must be a multiple of %zu images for each label", s->per_label);
    if (s->batch / s->per_label > s->n_groups)
        return err_field(e, "batch_size", "needs %zu labels with two images or more, there are %zu",
                         s->batch / s->per_label, s->n_groups);
    return true;
}

struct sampler *sampler_new(const struct manifest *m, const size_t *indices, size_t n, size_t batch, size_t per_label,
                            uint64_t seed, struct err *e)
{
    struct sampler *s = mem_new(1, sizeof *s);
    *s = (struct sampler){.n = n, .batch = batch, .per_label = per_label, .seed = seed, .epoch = UINT64_MAX};
    s->items = mem_new(n, sizeof *s->items);
    if (per_label)
        group_items(s, m, indices, n);
    else
        memcpy(s->items, indices, n * sizeof *indices);
    if (!check(s, e)) {
        sampler_free(s);
        return NULL;
    }
    size_t units = per_label ? s->n_groups : n, each = per_label ? batch / per_label : batch;
    s->order = mem_new(units, sizeof *s->order);
    /* An epoch of P x K shows about as many images as there are. */
    s->batches = per_label ? max_size(n / batch, 1) : units / each;
    return s;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->items);
    free(s->groups);
    free(s->order);
    free(s);
}

size_t sampler_batches(const struct sampler *s)
{
    return s->batches;
}

/* `round` is an epoch, or one pass over all labels. */
static void permute(struct sampler *s, uint64_t round, size_t units)
{
    if (s->epoch == round)
        return;
    struct rng r = rng_for(s->seed, round, 1);
    for (size_t i = 0; i < units; i++)
        s->order[i] = i;
    shuffle(s->order, units, &r);
    s->epoch = round;
}

/* K different items of a group; repeats only when it has fewer. */
static void draw_group(const struct sampler *s, const struct group *g, struct rng *r, size_t *out)
{
    size_t *pick = mem_new(g->n, sizeof *pick);
    for (size_t k = 0; k < s->per_label; k++) {
        size_t used = k % g->n;
        if (used == 0)
            for (size_t i = 0; i < g->n; i++)
                pick[i] = g->first + i;
        size_t j = used + (size_t)rng_below(r, g->n - used), t = pick[j];
        pick[j] = pick[used];
        pick[used] = t;
        out[k] = s->items[t];
    }
    free(pick);
}

/* Labels are dealt from one permutation after the other; the few that do not fill a batch at its end wait for
 * the next, whose order is new. */
static void label_batch(struct sampler *s, uint64_t step, size_t *out)
{
    size_t labels = s->batch / s->per_label, deals = s->n_groups / labels;
    const size_t *dealt = s->order + (size_t)(step % deals) * labels;
    struct rng r = rng_for(s->seed, step, 2);
    permute(s, step / deals, s->n_groups);
    for (size_t i = 0; i < labels; i++)
        draw_group(s, &s->groups[dealt[i]], &r, out + i * s->per_label);
}

void sampler_batch(struct sampler *s, uint64_t step, size_t *out)
{
    if (s->per_label) {
        label_batch(s, step, out);
        return;
    }
    permute(s, step / s->batches, s->n);
    for (size_t i = 0; i < s->batch; i++)
        out[i] = s->items[s->order[(size_t)(step % s->batches) * s->batch + i]];
}
