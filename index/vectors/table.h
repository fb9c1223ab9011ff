/* table.h - a hash table from 64-bit keys to slots.
 *
 * Keys need not be unique: a caller whose keys are hashes of longer things walks all slots of a key and
 * compares.
 *
 *     size_t at = table_first(t, key);
 *     for (; at != TABLE_END; at = table_next(t, key, at))
 *         if (is_the_one(table_slot(t, at))) ...
 *
 * Not safe against concurrent changes.
 */
#ifndef ANCHORD_INDEX_VECTORS_TABLE_H
#define ANCHORD_INDEX_VECTORS_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define TABLE_END SIZE_MAX

struct table {                /* zero-initialised is empty and ready */
    struct table_cell *cells; /* owned */
    size_t room, n;           /* room: 0 or a power of two, at most 3/4 full */
};

void table_add(struct table *t, uint64_t key, size_t slot);
size_t table_first(const struct table *t, uint64_t key); /* a position, valid until the next change */
size_t table_next(const struct table *t, uint64_t key, size_t at);
size_t table_slot(const struct table *t, size_t at);
void table_remove(struct table *t, size_t at);
void table_clear(struct table *t);

/* A one-to-one mix of all bits, for keys that are numbers in a row (the finaliser of splitmix64). */
static inline uint64_t table_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A hash of a text under a secret seed, so that clients cannot choose ids that collide. */
uint64_t table_hash_text(const char *text, uint64_t seed);

#endif
