/* scan.h - exact inner products, and the best few of many.
 *
 *     struct top top;
 *     top_init(&top, limit, NULL, NULL);
 *     scan_products(rows, n, d, query, scores);
 *     for (size_t i = 0; i < n; i++)
 *         if (top_wants(&top, scores[i]))
 *             top_offer(&top, scores[i], i);
 *     top_sort(&top);
 *     ... top.items[0 .. top.n) are the best, best first ...
 *     top_clear(&top);
 *
 * Every function here gives the same bits for the same two vectors, so that equal images tie exactly.
 */
#ifndef ANCHORD_INDEX_VECTORS_SCAN_H
#define ANCHORD_INDEX_VECTORS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* out[i] = <row i, query>.  rows [n, d] in one piece, query [d], out [n]. */
void scan_products(const float *rows, size_t n, size_t d, const float *query, float *out);

/* The same for one row. */
float scan_product(const float *row, const float *query, size_t d);

/* The cosine of two rows, in double precision: 1 exactly (as a float) where they are the same but for rounding. */
double scan_cosine(const float *a, const float *b, size_t d);

struct scored {
    float score;
    size_t slot;
};

/* Says which of two slots with the same score comes first: < 0 for `a`, > 0 for `b`. */
typedef int scan_order(const void *context, size_t a, size_t b);

/* The best `limit` of what is offered: a heap with the worst on top. */
struct top {
    size_t limit, n;
    struct scored *items; /* [limit]; owned */
    scan_order *order;    /* NULL: the lower slot first */
    const void *context;  /* for `order`; borrowed */
};

void top_init(struct top *t, size_t limit, scan_order *order, const void *context);
void top_clear(struct top *t);

/* Whether an offer with this score may change anything: the cheap test before the dear ones. */
static inline bool top_wants(const struct top *t, float score)
{
    return t->n < t->limit || score >= t->items[0].score;
}

void top_offer(struct top *t, float score, size_t slot);
/* Best first, also after scores have been changed; nothing may be offered afterwards. */
void top_sort(struct top *t);

#endif
