/* table.c - open addressing with linear probing; removal closes the gap instead of leaving a mark. */
#include "index/vectors/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct table_cell {
    uint64_t key;
    size_t slot_plus_1; /* 0: empty */
};

static size_t home(const struct table *t, uint64_t key)
{
    return (size_t)key & (t->room - 1);
}

static size_t after(const struct table *t, size_t at)
{
    return (at + 1) & (t->room - 1);
}

static void place(struct table *t, struct table_cell cell)
{
    size_t at = home(t, cell.key);
    while (t->cells[at].slot_plus_1)
        at = after(t, at);
    t->cells[at] = cell;
}

static void grow(struct table *t)
{
    struct table old = *t;
    t->room = old.room ? old.room * 2 : 16;
    t->cells = mem_new(t->room, sizeof *t->cells);
    for (size_t i = 0; i < old.room; i++)
        if (old.cells[i].slot_plus_1)
            place(t, old.cells[i]);
    free(old.cells);
}

void table_add(struct table *t, uint64_t key, size_t slot)
{
    if (t->n + 1 > t->room / 4 * 3)
        grow(t);
    place(t, (struct table_cell){key, slot + 1});
    t->n++;
}

static size_t find_from(const struct table *t, uint64_t key, size_t at)
{
    for (; t->cells[at].slot_plus_1; at = after(t, at))
        if (t->cells[at].key == key)
            return at;
    return TABLE_END;
}

size_t table_first(const struct table *t, uint64_t key)
{
    return t->room ? find_from(t, key, home(t, key)) : TABLE_END;
}

size_t table_next(const struct table *t, uint64_t key, size_t at)
{
    return find_from(t, key, after(t, at));
}

size_t table_slot(const struct table *t, size_t at)
{
    return t->cells[at].slot_plus_1 - 1;
}

void table_remove(struct table *t, size_t at)
{
    /* Whatever follows and could not be found across the gap moves into it. */
    for (size_t next = after(t, at); t->cells[next].slot_plus_1; next = after(t, next)) {
        size_t wanted = home(t, t->cells[next].key);
        bool reachable = at <= next ? at < wanted && wanted <= next : at < wanted || wanted <= next;
        if (!reachable) {
            t->cells[at] = t->cells[next];
            at = next;
        }
    }
    t->cells[at] = (struct table_cell){0};
    t->n--;
}

void table_clear(struct table *t)
{
    free(t->cells);
    *t = (struct table){0};
}

uint64_t table_hash_text(const char *text, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t left = strlen(text); left > 0;) {
        uint64_t word = 0;
        size_t n = left < sizeof word ? left : sizeof word;
        memcpy(&word, text, n);
        h = table_mix(h ^ word) + seed;
        text += n;
        left -= n;
    }
    return table_mix(h);
}
