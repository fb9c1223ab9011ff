/* labelled.c - reads a folder of folders and embeds it. */
#include "server/commands/labelled.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/process/app_settings.h"

void labelled_clear(struct labelled *l)
{
    dataset_close(l->dataset);
    manifest_clear(&l->manifest);
    free(l->items);
    free(l->x);
    free(l->labels);
}

/* A picture that lies beside the sub-folders has no label, so nothing to be judged by. */
static size_t *labelled_items(const struct manifest *m, size_t *n)
{
    size_t all, *items = manifest_side(m, false, &all);
    *n = 0;
    for (size_t i = 0; i < all; i++)
        if (m->items[items[i]].label != NO_LABEL)
            items[(*n)++] = items[i];
    return items;
}

bool labelled_open(struct labelled *l, const char *dir, const struct conf *conf, struct encoder *enc, struct pool *pool,
                   struct err *e)
{
    const struct dataset_options o = {
        .size = encoder_preprocess(enc)->resize, .limits = image_settings(conf), .pool = pool};
    if (!manifest_read_folder(&l->manifest, dir, e) || !(l->dataset = dataset_open(&l->manifest, &o, e)))
        return false;
    if (!l->manifest.n_labels)
        return err_set(e, ERR_BAD_INPUT, "%s has no sub-folders: a picture's label is its folder's name", dir);
    l->items = labelled_items(&l->manifest, &l->n);
    l->x = mem_aligned(l->n * encoder_dimensions(enc), sizeof *l->x);
    l->labels = mem_new(l->n, sizeof *l->labels);
    for (size_t i = 0; i < l->n; i++)
        l->labels[i] = l->manifest.items[l->items[i]].label;
    return evaluate_embed(enc, l->dataset, l->items, l->n, pool, l->x, e);
}

bool labelled_agree(const struct labelled *a, const char *a_name, const struct labelled *b, const char *b_name,
                    struct err *e)
{
    if (a->manifest.n_labels != b->manifest.n_labels)
        return err_set(e, ERR_BAD_INPUT, "%.80s has %zu labels, %.80s has %zu", a_name, a->manifest.n_labels, b_name,
                       b->manifest.n_labels);
    for (size_t i = 0; i < a->manifest.n_labels; i++)
        if (strcmp(a->manifest.labels[i], b->manifest.labels[i]) != 0)
            return err_set(e, ERR_BAD_INPUT, "%.80s and %.80s differ in the label %.80s", a_name, b_name,
                           a->manifest.labels[i]);
    return true;
}
