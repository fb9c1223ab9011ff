/* crops.c - where the crops of a batch lie, and how large they are. */
#include "engine/data/crops.h"

size_t crops_count(const struct crops *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->n; i++)
        count += c->groups[i].count;
    return count;
}

void crops_settle(struct crops *c, uint32_t size)
{
    for (size_t i = 0; i < c->n; i++) {
        uint32_t *own = &c->groups[i].size, small = (c->groups[0].size * 3 + 3) / 7;
        if (!*own)
            *own = i == 0 ? size : small > CROP_SIDE_MIN ? small : CROP_SIDE_MIN;
    }
}

struct crop crops_row(const struct crops *c, size_t batch, size_t row)
{
    struct crop out = {0};
    for (;; out.group++) {
        const struct crop_group *g = &c->groups[out.group];
        size_t values = (size_t)g->size * g->size * 3, rows = g->count * batch;
        if (row < rows || out.group + 1 == c->n) {
            out.number = row / batch;
            out.at += row * values;
            return out;
        }
        row -= rows;
        out.at += rows * values;
    }
}
