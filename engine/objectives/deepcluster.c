/* deepcluster.c - DeepCluster-v2: clusters of the last embeddings are the labels of the next steps.
 *
 * Caron et al. 2018, "Deep clustering for unsupervised learning of visual features" (arXiv:1807.05520), in the second version of Caron et al.
 * 2020 (arXiv:2006.09882, section on DeepCluster-v2).  A bank holds each picture's last unit embedding in each full crop.  Now and then
 * spherical k-means over it gives centroids, which stand as fixed prototypes, and each picture's cluster:
 *
 *     loss = mean over the heads and the rows of  -log softmax(U C_h' / temperature)_cluster
 *
 * Heads are clusterings side by side that begin from other rows, each on the bank of another view.  A picture that was not seen before the last
 * clustering counts for nothing.  In the beginning, for an epoch or a tenth of the run, the bank is filled and no step is made.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "engine/objectives/contrast.h"
#include "engine/objectives/kmeans.h"
#include "engine/objectives/objective_parts.h"
#include "engine/objectives/prototypes.h"
#include "engine/objectives/unit_rows.h"

enum { ITERATIONS = 10 };
enum { BANK, SEEN, CENTROIDS, CLUSTERS, CLOCK };

static bool check(const struct objective_settings *s, struct err *e)
{
    return setting_in_range("temperature", s->temperature, 0.0005, 10, e) &&
           setting_is_count("prototypes", s->prototypes, 2, 65536, e) &&
           setting_is_count("heads", s->heads, 1, 16, e) && setting_in_range("recluster", s->recluster, 0.01, 1000, e);
}

/* With more of them there would never be a clustering, and all steps would be for looking. */
static bool check_run(const struct objective_settings *s, size_t pictures, struct err *e)
{
    return setting_has_pictures("prototypes", s->prototypes, pictures, e);
}

static bool open(struct loss *l, struct err *e)
{
    size_t d = l->shape.d, items = l->shape.items, k = (size_t)l->settings.prototypes,
           heads = (size_t)l->settings.heads;
    if (!check_run(&l->settings, l->shape.learned ? l->shape.learned : items, e))
        return false;
    loss_add(l, "bank", l->shape.full * items * d, false);
    loss_add(l, "seen", items, false);
    loss_add(l, "centroids", heads * k * d, false);
    float *clusters = loss_add(l, "clusters", heads * items, false);
    loss_add(l, "clock", 1, false); /* steps done at the last clustering; 0: there was none */
    for (size_t i = 0; i < heads * items; i++)
        clusters[i] = -1;
    return true;
}

static size_t workspace(const struct loss *l)
{
    size_t n = l->shape.n, k = (size_t)l->settings.prototypes;
    return n * l->shape.d + n + 2 * n * k;
}

/* w [n, k]: 1 at each row's cluster; nothing for a row without one.  Gives how many have one. */
static size_t targets(const struct loss *l, const struct loss_batch *b, size_t head, float *w)
{
    size_t k = (size_t)l->settings.prototypes, rows = b->n / l->shape.views, known = 0;
    const float *clusters = l->tensors[CLUSTERS].data + head * l->shape.items;
    memset(w, 0, b->n * k * sizeof *w);
    for (size_t i = 0; i < b->n; i++) {
        float cluster = clusters[b->items[i % rows]];
        if (cluster < 0)
            continue;
        w[i * k + (size_t)cluster] = 1;
        known++;
    }
    return known;
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    size_t n = b->n, d = b->d, k = (size_t)l->settings.prototypes, heads = (size_t)l->settings.heads;
    float *u = l->work, *norms = u + n * d, *scores = norms + n, *w = scores + n * k;
    struct loss_report r = {.active = 1, .looking = l->tensors[CLOCK].data[0] == 0};

    assert(b->items);
    memset(grad, 0, n * d * sizeof *grad);
    if (r.looking)
        return r;
    unit_rows_forward(b->z, n, d, u, norms);
    for (size_t h = 0; h < heads; h++) {
        const float *c = l->tensors[CENTROIDS].data + h * k * d;
        size_t known = targets(l, b, h, w);
        if (!known)
            continue;
        double share = 1 / ((double)known * (double)heads);
        prototypes_logits(u, c, n, k, d, l->settings.temperature, scores);
        r.loss += share * contrast_targets(scores, w, n, k);
        prototypes_backward(scores, u, c, n, k, d, share / l->settings.temperature, grad, NULL);
        r.anchors = known;
    }
    unit_rows_backward(u, norms, n, d, grad);
    return r;
}

/* ---- the bank and its clusters ---- */

static void remember(struct loss *l, const struct loss_batch *b)
{
    size_t rows = b->n / l->shape.views, d = b->d, items = l->shape.items;
    float *u = l->work, *norms = u + b->n * d;
    unit_rows_forward(b->z, b->n, d, u, norms);
    for (size_t i = 0; i < l->shape.full * rows; i++) {
        size_t item = b->items[i % rows];
        memcpy(l->tensors[BANK].data + ((i / rows) * items + item) * d, u + i * d, d * sizeof *u);
        l->tensors[SEEN].data[item] = 1;
    }
}

static size_t count_seen(const struct loss *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->shape.items; i++)
        n += l->tensors[SEEN].data[i] > 0;
    return n;
}

static bool is_due(const struct loss *l, uint64_t done)
{
    double last = (double)l->tensors[CLOCK].data[0], epoch = fmax((double)l->shape.per_epoch, 1);
    if (last == 0)
        return (double)done >= fmin(epoch, fmax((double)l->shape.steps / 10, 1)) &&
               count_seen(l) >= (size_t)l->settings.prototypes;
    return (double)done - last >= fmax(1, l->settings.recluster * epoch);
}

/* k different rows of x [n, d], by the first steps of a random permutation. */
static void choose_rows(const float *x, size_t n, size_t d, size_t k, struct rng r, float *c)
{
    size_t *order = mem_new(n, sizeof *order);
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = 0; i < k; i++) {
        size_t j = i + (size_t)rng_below(&r, n - i), chosen = order[j];
        order[j] = order[i];
        order[i] = chosen;
        memcpy(c + i * d, x + chosen * d, d * sizeof *c);
    }
    free(order);
}

static void cluster_head(struct loss *l, size_t head, size_t seen, uint64_t done)
{
    size_t d = l->shape.d, items = l->shape.items, k = (size_t)l->settings.prototypes, at = 0;
    const float *bank = l->tensors[BANK].data + (head % l->shape.full) * items * d;
    float *c = l->tensors[CENTROIDS].data + head * k * d, *clusters = l->tensors[CLUSTERS].data + head * items;
    float *x = mem_aligned(seen * d, sizeof *x), *labels = mem_new(seen, sizeof *labels);

    for (size_t i = 0; i < items; i++)
        if (l->tensors[SEEN].data[i] > 0)
            memcpy(x + at++ * d, bank + i * d, d * sizeof *x);
    choose_rows(x, seen, d, k, rng_for(l->shape.seed, done, head), c);
    kmeans(x, seen, d, k, ITERATIONS, c, labels);
    at = 0;
    for (size_t i = 0; i < items; i++)
        clusters[i] = l->tensors[SEEN].data[i] > 0 ? labels[at++] : -1;
    free(labels);
    free(x);
}

/* Clustering is the one thing that takes memory of its own: one copy of a bank. */
static void after_step(struct loss *l, const struct loss_batch *b)
{
    uint64_t done = b->step + 1;
    remember(l, b);
    if (!is_due(l, done))
        return;
    size_t seen = count_seen(l);
    for (size_t h = 0; h < (size_t)l->settings.heads; h++)
        cluster_head(l, h, seen, done);
    l->tensors[CLOCK].data[0] = (float)done;
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(shape);
    return log(s->prototypes);
}

static void fit(struct objective_profile *p, size_t pictures, size_t batch)
{
    UNUSED(batch);
    p->settings.prototypes = fmin(p->settings.prototypes, fmax(2, (double)(pictures / 8)));
}

static const struct setting settings[] = {
    SETTING_NUMBER(prototypes, 2, 65536,
                   "clusters; about three for each kind of picture that one expects; a whole number"),
    SETTING_TEMPERATURE,
    SETTING_NUMBER(heads, 1, 16, "clusterings side by side; a whole number"),
    SETTING_NUMBER(recluster, 0.01, 1000, "epochs from one clustering to the next"),
};

#define SETTINGS(k, epochs)                                                                                            \
    {                                                                                                                  \
        .temperature = 0.1, .prototypes = k, .heads = 3, .recluster = epochs                                           \
    }
#define HEAD(hidden, norm)                                                                                             \
    {                                                                                                                  \
        .projector = {{hidden, true, true}, {128, norm, false}}, .n_projector = 2                                      \
    }

static const struct objective_profile profiles[USES] = {
    [USE_SCRATCH] = {.settings = SETTINGS(3000, 1),
                     .head = HEAD(2048, false),
                     .recipe = "simclr",
                     .optimizer = "adamw",
                     .learning_rate = 1e-3,
                     .weight_decay = 1e-6,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.settings = SETTINGS(128, 1),
                   .head = HEAD(2048, true),
                   .recipe = "small",
                   .optimizer = "adamw",
                   .learning_rate = 3e-4,
                   .weight_decay = 1e-4,
                   .head_rate = 1,
                   .warmup = SMALL_WARMUP},
    [USE_FINETUNE] = {.settings = SETTINGS(30, 0.5), .head = HEAD(512, false), FINETUNE_RUN},
};

const struct objective objective_deepclusterv2 = {
    .name = "deepclusterv2",
    .paper = "Caron et al. 2018, arXiv:1807.05520; Caron et al. 2020, arXiv:2006.09882",
    .help = "cluster all pictures now and then, and learn to tell the clusters apart",
    .defaults = SETTINGS(30, 0.5),
    .profiles = profiles,
    .settings = settings,
    .n_settings = COUNT(settings),
    .least_batch = BATCH_NORM_PICTURES,
    .fit = fit,
    .check_run = check_run,
    .multicrop = true,
    .check = check,
    .open = open,
    .workspace = workspace,
    .run = run,
    .after_step = after_step,
    .collapsed = collapsed,
};
