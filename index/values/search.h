/* search.h - one question to an index, and what it found. */
#ifndef ANCHORD_INDEX_VALUES_SEARCH_H
#define ANCHORD_INDEX_VALUES_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "index/values/filter.h"

struct search {
    const float *vector;         /* [dimensions], finite; need not be of unit length */
    size_t limit;                /* at least 1 */
    const struct filter *filter; /* NULL: all */
    const char *const *exclude;  /* ids left out of the answer */
    size_t n_exclude;
    bool has_threshold;
    float threshold; /* scores below are left out */
    bool exact;      /* no approximate index */
    uint32_t ef;     /* HNSW's efSearch; 0: the default */
    bool with_vector;
};

struct hit {
    int64_t number, revision;
    const char *id, *label; /* label NULL: none */
    const char *metadata;   /* JSON text; NULL: none */
    float score;
    const float *vector; /* when asked for; else NULL */
};

struct hits { /* best first; ties by id */
    struct hit *items;
    size_t n;
    struct arena arena; /* owns everything above */
};

void hits_clear(struct hits *h);

#endif
