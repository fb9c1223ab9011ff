/* members.c - a list of images that is also a list of distinct vectors. */
#include "index/vectors/members.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

void members_reserve(struct members *m, size_t more)
{
    if (m->n + more <= m->room)
        return;
    m->room = max_size(m->n + more, m->room + m->room / 2);
    assert(m->room < MEMBERS_END);
    m->slots = mem_grow(m->slots, m->room, sizeof *m->slots);
    m->numbers = mem_grow(m->numbers, m->room, sizeof *m->numbers);
    m->digests = mem_grow(m->digests, m->room, sizeof *m->digests);
    m->twins = mem_grow(m->twins, m->room, sizeof *m->twins);
    m->rows = mem_grow(m->rows, m->room, sizeof *m->rows);
    m->heads = mem_grow(m->heads, m->room, sizeof *m->heads);
}

/* The row with this vector, or TABLE_END. */
static size_t find_row(const struct members *m, uint64_t digest, const float *row)
{
    for (size_t at = table_first(&m->by_digest, digest); at != TABLE_END; at = table_next(&m->by_digest, digest, at)) {
        size_t r = table_slot(&m->by_digest, at);
        if (memcmp(m->rows[r], row, m->d * sizeof *row) == 0)
            return r;
    }
    return TABLE_END;
}

size_t members_add(struct members *m, size_t slot, int64_t number, uint64_t digest, const float *row)
{
    members_reserve(m, 1);
    size_t i = m->n++, r = find_row(m, digest, row);
    m->slots[i] = slot;
    m->numbers[i] = number;
    m->digests[i] = digest;
    m->twins[i] = MEMBERS_END;
    if (r == TABLE_END) {
        r = m->n_rows++;
        m->rows[r] = row;
        table_add(&m->by_digest, digest, r);
    } else {
        m->twins[i] = m->heads[r]; /* in front: the order does not matter */
    }
    m->heads[r] = (uint32_t)i;
    return r;
}

void members_append(struct members *m, const struct members *from)
{
    members_reserve(m, from->n);
    uint32_t *row_of = mem_new(from->n, sizeof *row_of);
    for (size_t r = 0; r < from->n_rows; r++)
        for (uint32_t i = from->heads[r]; i != MEMBERS_END; i = from->twins[i])
            row_of[i] = (uint32_t)r;
    for (size_t i = 0; i < from->n; i++)
        members_add(m, from->slots[i], from->numbers[i], from->digests[i], from->rows[row_of[i]]);
    free(row_of);
}

void members_clear(struct members *m)
{
    free(m->slots);
    free(m->numbers);
    free(m->digests);
    free(m->twins);
    free(m->rows);
    free(m->heads);
    table_clear(&m->by_digest);
    *m = (struct members){.d = m->d};
}

uint64_t members_digest(const float *row, size_t d)
{
    uint64_t digest = d;
    size_t i = 0;
    for (; i + 2 <= d; i += 2) {
        uint64_t two;
        memcpy(&two, row + i, sizeof two);
        digest = table_mix(digest ^ two);
    }
    if (i < d) {
        uint32_t one;
        memcpy(&one, row + i, sizeof one);
        digest = table_mix(digest ^ one);
    }
    return digest;
}
