/* triplet.c - triplet loss with mining inside the batch.
 *
 * Schroff et al. 2015, "FaceNet" (arXiv:1503.03832); Hermans et al. 2017, "In defense of the triplet loss"
 * (arXiv:1703.07737).  Whatever the mining, the gradient is collected as one weight for each distance and
 * turned into one matrix product: with A = W / D and B = A + A', dX = rowsum(B) X - B X.  Where a distance is
 * zero its derivative is defined as zero.
 */
#include "engine/kernels/gemm.h"
#include "engine/objectives/objective_parts.h"
#include "engine/objectives/unit_rows.h"

static const double squared_zero = 1e-12;

struct miner {
    const struct objective_settings *s;
    const struct loss_batch *b;
    const float *dist; /* [n, n] */
    float *weight;     /* [n, n]: d loss / d distance, summed, not yet divided */
    double loss;
    size_t mined, active;
};

static bool check(const struct objective_settings *s, struct err *e)
{
    if (!s->soft && !(s->margin >= 0 && s->margin <= 100))
        return err_field(e, "margin", "must be from 0 to 100");
    return true;
}

static size_t workspace(const struct loss *l)
{
    size_t n = l->shape.n, d = l->shape.d;
    return n * d + n + 2 * n * n;
}

static bool positive(const struct miner *m, size_t a, size_t j)
{
    return a != j && m->b->groups[a] == m->b->groups[j];
}

static bool negative(const struct miner *m, size_t a, size_t j)
{
    return m->b->groups[a] != m->b->groups[j];
}

static float distance(const struct miner *m, size_t i, size_t j)
{
    return m->dist[i * m->b->n + j];
}

static void take(struct miner *m, size_t a, size_t p, size_t n)
{
    double gap = (double)distance(m, a, p) - (double)distance(m, a, n), slope, loss;
    m->mined++;
    if (m->s->soft) {
        loss = gap > 0 ? gap + log1p(exp(-gap)) : log1p(exp(gap));
        slope = 1 / (1 + exp(-gap));
    } else {
        loss = fmax(0, gap + m->s->margin);
        slope = loss > 0 ? 1 : 0;
    }
    m->loss += loss;
    m->active += loss > 0;
    m->weight[a * m->b->n + p] += (float)slope;
    m->weight[a * m->b->n + n] -= (float)slope;
}

/* The farthest positive and the nearest negative of each anchor. */
static void mine_batch_hard(struct miner *m)
{
    size_t n = m->b->n;
    for (size_t a = 0; a < n; a++) {
        size_t far = n, near = n;
        for (size_t j = 0; j < n; j++) {
            if (positive(m, a, j) && (far == n || distance(m, a, j) > distance(m, a, far)))
                far = j;
            if (negative(m, a, j) && (near == n || distance(m, a, j) < distance(m, a, near)))
                near = j;
        }
        if (far < n && near < n)
            take(m, a, far, near);
    }
}

/* FaceNet's choice for a pair: the nearest negative beyond the positive, else the farthest of all. */
static size_t facenet_negative(const struct miner *m, size_t a, size_t p)
{
    size_t n = m->b->n, beyond = n, farthest = n;
    for (size_t j = 0; j < n; j++) {
        if (!negative(m, a, j))
            continue;
        if (distance(m, a, j) > distance(m, a, p) && (beyond == n || distance(m, a, j) < distance(m, a, beyond)))
            beyond = j;
        if (farthest == n || distance(m, a, j) > distance(m, a, farthest))
            farthest = j;
    }
    return beyond < n ? beyond : farthest;
}

static bool in_band(const struct miner *m, size_t a, size_t p, size_t n)
{
    double gap = (double)distance(m, a, n) - (double)distance(m, a, p);
    return gap > 0 && gap <= m->s->margin;
}

static void mine_pairs(struct miner *m)
{
    size_t n = m->b->n;
    for (size_t a = 0; a < n; a++) {
        for (size_t p = 0; p < n; p++) {
            if (!positive(m, a, p))
                continue;
            if (m->s->mining == MINING_FACENET) {
                size_t chosen = facenet_negative(m, a, p);
                if (chosen < n)
                    take(m, a, p, chosen);
                continue;
            }
            for (size_t j = 0; j < n; j++)
                if (negative(m, a, j) && (m->s->mining == MINING_BATCH_ALL || in_band(m, a, p, j)))
                    take(m, a, p, j);
        }
    }
}

/* dist [n, n] from x [n, d]; cancellation may leave a square slightly below zero. */
static void distances(const float *x, size_t n, size_t d, float *norms, float *dist)
{
    gemm_nt(n, n, d, 1, x, x, 0, dist);
    for (size_t i = 0; i < n; i++)
        norms[i] = dist[i * n + i];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double square = (double)norms[i] + (double)norms[j] - 2 * (double)dist[i * n + j];
            dist[i * n + j] = i == j || square <= squared_zero ? 0.0f : (float)sqrt(square);
        }
}

/* grad [n, d] from the weights of the distances; weight is used up. */
static void gradient(const float *x, size_t n, size_t d, const float *dist, float *weight, float scale, float *grad)
{
    for (size_t i = 0; i < n * n; i++)
        weight[i] = dist[i] > 0 ? weight[i] / dist[i] : 0.0f;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            weight[i * n + j] = weight[j * n + i] = weight[i * n + j] + weight[j * n + i];
    gemm_nn(n, d, n, -scale, weight, x, 0, grad);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            sum += i == j ? 0 : (double)weight[i * n + j];
        for (size_t k = 0; k < d; k++)
            grad[i * d + k] += scale * (float)sum * x[i * d + k];
    }
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    const struct objective_settings *s = &l->settings;
    size_t n = b->n, d = b->d;
    float *u = l->work, *norms = u + n * d, *dist = norms + n, *weight = dist + n * n;
    const float *x = s->unit ? u : b->z;
    struct miner m = {.s = s, .b = b, .dist = dist, .weight = weight};

    if (s->unit)
        unit_rows_forward(b->z, n, d, u, norms);
    distances(x, n, d, grad, dist); /* grad has room for the n squares */
    memset(weight, 0, n * n * sizeof *weight);
    if (s->mining == MINING_BATCH_HARD)
        mine_batch_hard(&m);
    else
        mine_pairs(&m);
    size_t over = s->mining == MINING_BATCH_ALL && !s->all_mean ? m.active : m.mined;
    gradient(x, n, d, dist, weight, over ? 1 / (float)over : 0.0f, grad);
    if (s->unit)
        unit_rows_backward(u, norms, n, d, grad);
    return (struct loss_report){
        .loss = over ? m.loss / (double)over : 0,
        .anchors = m.mined,
        .active = m.mined ? (double)m.active / (double)m.mined : 0,
    };
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(shape);
    return s->soft ? log(2) : s->margin;
}

static const char *const minings[] = {[MINING_BATCH_HARD] = "batch_hard",
                                      [MINING_SEMI_HARD] = "semi_hard",
                                      [MINING_FACENET] = "facenet",
                                      [MINING_BATCH_ALL] = "batch_all",
                                      NULL};

static const struct setting settings[] = {
    SETTING_POSITIVES,
    {"mining", SETTING_CHOICE, AT(struct objective_settings, mining), .choices = minings,
     .help = "which triplets of a batch count"},
    {"margin", SETTING_REAL, AT(struct objective_settings, margin), .lo = 0, .hi = 2,
     .help = "by how much nearer a positive is to be"},
    {"soft", SETTING_FLAG, AT(struct objective_settings, soft), .help = "a smooth loss in the place of the margin"},
    {"unit", SETTING_FLAG, AT(struct objective_settings, unit),
     .help = "distances between unit vectors, or between raw outputs"},
    {"all_mean", SETTING_FLAG, AT(struct objective_settings, all_mean),
     .help = "batch_all: the mean over all triplets, or over those with a loss"},
};

const struct objective objective_triplet = {
    .name = "triplet",
    .paper = "Schroff et al. 2015, arXiv:1503.03832; Hermans et al. 2017, arXiv:1703.07737",
    .help = "keep each positive nearer than each negative by a margin",
    .defaults = {.positives = POSITIVES_LABELS, .margin = 0.2, .unit = true, .mining = MINING_BATCH_HARD},
    .settings = settings,
    .n_settings = COUNT(settings),
    .check = check,
    .workspace = workspace,
    .run = run,
    .collapsed = collapsed,
};
