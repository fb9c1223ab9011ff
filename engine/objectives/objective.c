/* objective.c - the table of objectives, and a loss with its workspace. */
#include "engine/objectives/objective.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

const char *const positives_names[] = {[POSITIVES_VIEWS] = "views", [POSITIVES_LABELS] = "labels", NULL};

static const struct objective *const table[] = {&objective_infonce, &objective_triplet};

const struct objective *const *objective_list(size_t *n)
{
    *n = COUNT(table);
    return table;
}

const struct objective *objective_find(const char *name)
{
    for (size_t i = 0; i < COUNT(table); i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

struct loss {
    const struct objective *objective;
    struct objective_settings settings;
    size_t n, d;
    float *work;
};

struct loss *loss_new(const struct objective *o, const struct objective_settings *s, size_t n, size_t d,
                      struct err *e)
{
    if (!o->check(s, e))
        return NULL;
    struct loss *l = mem_new(1, sizeof *l);
    *l = (struct loss){.objective = o, .settings = *s, .n = n, .d = d};
    l->work = mem_aligned(o->workspace(n, d), sizeof *l->work);
    return l;
}

void loss_free(struct loss *l)
{
    if (!l)
        return;
    free(l->work);
    free(l);
}

struct loss_report loss_run(struct loss *l, const struct loss_batch *b, float *grad)
{
    assert(b->n <= l->n && b->d == l->d);
    return l->objective->run(&l->settings, b, l->work, grad);
}
