/* watch.c - thresholds, and words for them. */
#include "engine/training/watch.h"

#include <math.h>
#include <stdio.h>

#include "base/num.h"

enum {
    DIMENSIONS_LEAST = 8, /* outputs: of fewer not much can be said */
    FLAT_STEPS = 20,
    WINDOW_LEAST = 20,
    WINDOW_MOST = 200
};
static const double flat_part = 0.1;   /* of the isotropic deviation */
static const double narrow = 1.2;      /* dimensions that outputs are to vary in at least */
static const double idle_part = 0.998; /* of a collapsed network's loss */

struct watch watch_new(const struct train_config *c, const struct loss_shape *shape, uint64_t warmup, uint64_t total)
{
    size_t window = min_size(max_size((size_t)(total / 10), WINDOW_LEAST), WINDOW_MOST);
    return (struct watch){
        .objective = c->objective, .settings = c->settings, .shape = *shape, .warmup = warmup, .window = window};
}

static enum watch_finding find(struct watch *w, uint64_t step, const struct step_report *r)
{
    double chance = w->objective->collapsed(&w->settings, &w->shape), isotropic = 1 / sqrt((double)w->shape.d);

    if (!isfinite(r->loss) || !isfinite(r->gradient_norm)) {
        snprintf(w->message, sizeof w->message,
                 "the %s is no number any more at step %llu: lower the learning rate, or lengthen the warm-up",
                 isfinite(r->loss) ? "gradient" : "loss", (unsigned long long)step);
        return WATCH_DIVERGED;
    }
    w->flat_steps = r->std < flat_part * isotropic ? w->flat_steps + 1 : 0;
    if (w->flat_steps >= FLAT_STEPS) {
        snprintf(w->message, sizeof w->message,
                 "all pictures get one and the same vector (deviation %.2g, isotropic %.2g; loss %.4g, of a collapsed "
                 "network %.4g): lower the learning rate, or take another objective",
                 r->std, isotropic, r->loss, chance);
        return WATCH_COLLAPSED;
    }
    if (step < w->warmup)
        return WATCH_FINE;
    /* Many runs begin on one line; those that are well have left it a little after the warm-up. */
    bool thin = step >= w->warmup + w->window && w->shape.d >= DIMENSIONS_LEAST && r->dimensions < narrow &&
                w->settings.positives == POSITIVES_VIEWS;
    w->thin_steps = thin ? w->thin_steps + 1 : 0;
    if (w->thin_steps >= FLAT_STEPS) {
        snprintf(w->message, sizeof w->message,
                 "the outputs vary in one direction only (%.2g dimensions of %zu): lower the learning rate, give more "
                 "weight to what "
                 "keeps them apart, or take another objective",
                 r->dimensions, w->shape.d);
        return WATCH_COLLAPSED;
    }
    w->loss_sum += r->loss;
    if (++w->in_window < w->window)
        return w->told == WATCH_IDLE ? WATCH_IDLE : WATCH_FINE;
    double mean = w->loss_sum / (double)w->window;
    w->loss_sum = 0;
    w->in_window = 0;
    if (!(chance > 0) || mean < idle_part * chance)
        return WATCH_FINE;
    snprintf(w->message, sizeof w->message,
             "the loss of the last %llu steps, %.4g, is that of guessing (%.4g): nothing is being learned; change the "
             "learning rate, and look at the views with --preview",
             (unsigned long long)w->window, mean, chance);
    return WATCH_IDLE;
}

enum watch_finding watch_step(struct watch *w, uint64_t step, const struct step_report *r)
{
    if (r->looking)
        return WATCH_FINE;
    enum watch_finding found = find(w, step, r), before = w->told;
    w->told = found;
    return found == before ? WATCH_FINE : found;
}

const char *watch_code(enum watch_finding f)
{
    static const char *const codes[] = {
        [WATCH_FINE] = "fine", [WATCH_COLLAPSED] = "collapse", [WATCH_IDLE] = "idle", [WATCH_DIVERGED] = "diverged"};
    return codes[f];
}
