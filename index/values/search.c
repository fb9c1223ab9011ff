/* search.c - see search.h. */
#include "index/values/search.h"

void hits_clear(struct hits *h)
{
    arena_clear(&h->arena);
    *h = (struct hits){0};
}
