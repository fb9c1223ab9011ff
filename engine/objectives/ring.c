/* ring.c - a queue of rows that overwrites its oldest. */
#include "engine/objectives/ring.h"

#include <string.h>

#include "base/num.h"

void ring_push(const struct ring *r, const float *rows, size_t n)
{
    size_t next = (size_t)r->cursor[0], held = (size_t)r->cursor[1];
    for (size_t i = 0; i < n; i++) {
        memcpy(r->rows + next * r->d, rows + i * r->d, r->d * sizeof *rows);
        next = next + 1 < r->capacity ? next + 1 : 0;
    }
    r->cursor[0] = (float)next;
    r->cursor[1] = (float)min_size(held + n, r->capacity);
}

bool ring_full(const struct ring *r)
{
    return (size_t)r->cursor[1] == r->capacity;
}
