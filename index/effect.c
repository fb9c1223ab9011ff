/* effect.c - see effect.h. */
#include "index/effect.h"

#include <string.h>

#include "base/mem.h"

struct effect *add_effect(struct group *g, enum effect_kind kind, struct write *w)
{
    if (g->n_effects == g->room) {
        g->room = g->room ? g->room * 2 : 64;
        g->effects = mem_grow(g->effects, g->room, sizeof *g->effects);
    }
    struct effect *fx = &g->effects[g->n_effects++];
    *fx = (struct effect){.kind = kind, .write = w};
    return fx;
}

void add_freed_file(struct group *g, const char *sha256)
{
    memcpy(add_effect(g, EFFECT_FILE_FREED, NULL)->sha256, sha256, HASH_HEX);
}
