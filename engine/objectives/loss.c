/* loss.c - a loss with its workspace and its tensors, and what the objectives' own functions are made of. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/objectives/objective_parts.h"

const char *const positives_names[] = {[POSITIVES_VIEWS] = "views", [POSITIVES_LABELS] = "labels", NULL};

/* A cosine between its two ends (Grill et al. 2020). */
double objective_momentum(const struct objective_settings *s, uint64_t step, uint64_t steps)
{
    double t = steps ? fmin((double)step / (double)steps, 1) : 0;
    return s->momentum_end - (s->momentum_end - s->momentum) * (cos(M_PI * t) + 1) / 2;
}

bool setting_in_range(const char *name, double x, double lo, double hi, struct err *e)
{
    return (x >= lo && x <= hi) || err_field(e, name, "must be from %g to %g", lo, hi);
}

bool setting_is_count(const char *name, double x, double lo, double hi, struct err *e)
{
    return (x >= lo && x <= hi && x == floor(x)) || err_field(e, name, "must be a whole number from %g to %g", lo, hi);
}

bool setting_has_pictures(const char *name, double x, size_t pictures, struct err *e)
{
    return x <= (double)pictures ||
           err_field(e, name, "must not be more than the %zu pictures that are learned from", pictures);
}

void head_narrow(struct head_layers *head, size_t most)
{
    for (size_t i = 0; i < head->n_projector; i++)
        while (head->projector[i].outputs > most)
            head->projector[i].outputs /= 2;
}

float *loss_add(struct loss *l, const char *name, size_t count, bool learned)
{
    assert(l->n_tensors < LOSS_TENSORS_MAX);
    struct loss_tensor *t = &l->tensors[l->n_tensors++];
    *t = (struct loss_tensor){.name = name, .count = count, .data = mem_new(count, sizeof *t->data)};
    if (learned)
        t->gradient = mem_new(count, sizeof *t->gradient);
    return t->data;
}

struct loss *loss_new(const struct objective *o, const struct objective_settings *s, const struct loss_shape *shape,
                      struct err *e)
{
    if (!o->check(s, e))
        return NULL;
    struct loss *l = mem_new(1, sizeof *l);
    *l = (struct loss){.objective = o, .settings = *s, .shape = *shape};
    if (!l->shape.views)
        l->shape.views = 2;
    if (!l->shape.full)
        l->shape.full = min_size(2, l->shape.views);
    assert(l->shape.full <= l->shape.views && (l->shape.views <= 2 || o->multicrop));
    if (o->open && !o->open(l, e)) {
        loss_free(l);
        return NULL;
    }
    l->work = mem_aligned(o->workspace(l), sizeof *l->work);
    return l;
}

void loss_free(struct loss *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_tensors; i++) {
        free(l->tensors[i].data);
        free(l->tensors[i].gradient);
    }
    free(l->work);
    free(l);
}

const struct loss_shape *loss_shape(const struct loss *l)
{
    return &l->shape;
}

struct loss_report loss_run(struct loss *l, const struct loss_batch *b, float *grad)
{
    assert(b->n <= l->shape.n && b->d == l->shape.d && (b->target || l->objective->target == TARGET_NONE));
    return l->objective->run(l, b, grad);
}

void loss_after_step(struct loss *l, const struct loss_batch *b)
{
    if (l->objective->after_step)
        l->objective->after_step(l, b);
}

const struct loss_tensor *loss_tensors(const struct loss *l, size_t *n)
{
    *n = l->n_tensors;
    return l->tensors;
}
