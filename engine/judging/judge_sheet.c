/* judge_sheet.c - queries with their nearest pictures before and after, side by side. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/judging/judge_parts.h"
#include "engine/pictures/sheet.h"

enum { NEAREST = 5, GAP_COLUMN = 1 + NEAREST, COLUMNS = GAP_COLUMN + 1 + NEAREST, SIDE = 80 };

enum change { GAINED, LOST, SAME };

struct drawn { /* what is being chosen from */
    const struct judge *judge;
    const struct judgement *before, *after;
    size_t *order; /* of all queries, random */
    bool *taken;
    size_t *label_uses; /* rows so far of each label */
};

static enum change change_of(const struct drawn *s, size_t i)
{
    if (s->before->hits[i] == s->after->hits[i])
        return SAME;
    return s->after->hits[i] > s->before->hits[i] ? GAINED : LOST;
}

static size_t uses(const struct drawn *s, size_t i)
{
    return s->judge->labelled ? s->label_uses[s->judge->judged.labels[i]] : 0;
}

/* The first in random order that is of this kind and whose label had the fewest rows; false: there is none. */
static bool take(struct drawn *s, bool any, enum change kind, size_t *out)
{
    bool found = false;
    for (size_t k = 0; k < s->judge->judged.n; k++) {
        const size_t i = s->order[k];
        if (s->taken[i] || s->after->hits[i] < 0 || (!any && change_of(s, i) != kind))
            continue;
        if (!found || uses(s, i) < uses(s, *out))
            *out = i;
        found = true;
    }
    if (found) {
        s->taken[*out] = true;
        if (s->judge->labelled)
            s->label_uses[s->judge->judged.labels[*out]]++;
    }
    return found;
}

static void shuffle(size_t *order, size_t n, uint64_t seed)
{
    struct rng r = rng_new(seed);
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        const size_t k = (size_t)rng_below(&r, i), t = order[i - 1];
        order[i - 1] = order[k];
        order[k] = t;
    }
}

/* Rows 0, 4, 8 ...: an answer that became right; 2, 6, ...: one that became wrong; between them, and where there is no
 * such query: any. */
static size_t choose(const struct judge *j, const struct judgement *before, const struct judgement *after, size_t rows,
                     size_t *out)
{
    struct drawn s = {.judge = j, .before = before, .after = after};
    size_t n = 0;
    s.order = mem_new(j->judged.n, sizeof *s.order);
    s.taken = mem_new(j->judged.n, sizeof *s.taken);
    s.label_uses = mem_new(j->manifest->n_labels, sizeof *s.label_uses);
    shuffle(s.order, j->judged.n, j->o.seed);
    for (size_t row = 0; row < rows; row++) {
        const enum change wanted = row % 4 ? LOST : GAINED;
        if ((row % 2 == 0 && take(&s, false, wanted, &out[n])) || take(&s, true, SAME, &out[n]))
            n++;
    }
    free(s.order);
    free(s.taken);
    free(s.label_uses);
    return n;
}

static bool place(const struct judge *j, struct sheet *s, size_t column, size_t row, size_t i, enum sheet_frame frame,
                  struct err *e)
{
    struct image img;
    bool owned;
    if (!dataset_image(j->dataset, j->judged.items[i], &img, &owned, e))
        return false;
    const bool ok = sheet_place(s, (uint32_t)column, (uint32_t)row, &img, frame, e);
    if (owned)
        image_clear(&img);
    return ok;
}

static bool place_nearest(const struct judge *j, const struct judgement *v, struct sheet *s, size_t column, size_t row,
                          size_t query, struct err *e)
{
    size_t found[NEAREST], n = nearest_rows(v->vectors, v->images, v->dimensions, query, NEAREST, found);
    const int32_t *labels = j->judged.labels;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        const enum sheet_frame frame = !j->labelled                        ? SHEET_PLAIN
                                       : labels[found[i]] == labels[query] ? SHEET_GREEN
                                                                           : SHEET_RED;
        ok = place(j, s, column + i, row, found[i], frame, e);
    }
    return ok;
}

bool judge_sheet(const struct judge *j, const struct judgement *before, const struct judgement *after, size_t rows,
                 struct buf *out, struct err *e)
{
    size_t *queries = mem_new(rows, sizeof *queries), n = choose(j, before, after, rows, queries);
    struct sheet s = {.columns = COLUMNS, .rows = (uint32_t)n, .side = SIDE};
    bool ok = sheet_init(&s, e);
    for (size_t row = 0; ok && row < n; row++)
        ok = place(j, &s, 0, row, queries[row], SHEET_BLUE, e) &&
             place_nearest(j, before, &s, 1, row, queries[row], e) &&
             place_nearest(j, after, &s, GAP_COLUMN + 1, row, queries[row], e);
    ok = ok && image_write_png(&s.image, out, e);
    sheet_clear(&s);
    free(queries);
    return ok;
}
