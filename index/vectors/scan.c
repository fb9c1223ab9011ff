/* scan.c - inner products at the speed of memory, and a bounded heap.
 *
 * One query against all rows is limited by how fast rows arrive, not by arithmetic: each row asks for the
 * next one while it is being multiplied, which the processor's own prefetching does not do across pages.
 */
#include "index/vectors/scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { LANES = 16, STEP = 4 * LANES };

/* Sixteen floats at any address: one register, or as many smaller ones as the processor has. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* Four independent sums hide the latency of the multiply-adds.  `next` is fetched meanwhile. */
__attribute__((always_inline)) static inline float product(const float *a, const float *b, size_t d, const float *next)
{
    lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    size_t i = 0;
    for (; i + STEP <= d; i += STEP) {
        const lanes *x = (const lanes *)(a + i), *y = (const lanes *)(b + i);
        for (size_t k = 0; k < STEP; k += LANES)
            __builtin_prefetch(next + i + k);
        s0 += x[0] * y[0];
        s1 += x[1] * y[1];
        s2 += x[2] * y[2];
        s3 += x[3] * y[3];
    }
    s0 = (s0 + s1) + (s2 + s3);
    float sum = 0;
    for (size_t k = 0; k < LANES; k++)
        sum += s0[k];
    for (; i < d; i++)
        sum += a[i] * b[i];
    return sum;
}

HOT_LOOP void scan_products(const float *rows, size_t n, size_t d, const float *query, float *out)
{
    for (size_t i = 0; i < n; i++) {
        const float *row = rows + i * d;
        out[i] = product(row, query, d, i + 1 < n ? row + d : row);
    }
}

HOT_LOOP float scan_product(const float *row, const float *query, size_t d)
{
    return product(row, query, d, row);
}

typedef double wide __attribute__((vector_size(8 * sizeof(double))));
typedef float narrow __attribute__((vector_size(8 * sizeof(float)), aligned(4), may_alias));

/* <a, b> */
__attribute__((always_inline)) static inline double product_wide(const float *a, const float *b, size_t d)
{
    wide s = {0};
    size_t i = 0;
    for (; i + 8 <= d; i += 8)
        s += __builtin_convertvector(*(const narrow *)(a + i), wide) *
             __builtin_convertvector(*(const narrow *)(b + i), wide);
    double sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    for (; i < d; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

HOT_LOOP double scan_cosine(const float *a, const float *b, size_t d)
{
    return product_wide(a, b, d) / sqrt(product_wide(a, a, d) * product_wide(b, b, d));
}

void top_init(struct top *t, size_t limit, scan_order *order, const void *context)
{
    *t = (struct top){.limit = limit, .order = order, .context = context};
    t->items = mem_new(limit, sizeof *t->items);
}

void top_clear(struct top *t)
{
    free(t->items);
    *t = (struct top){0};
}

/* Whether a comes before b in the answer. */
static bool before(const struct top *t, const struct scored *a, const struct scored *b)
{
    if (a->score != b->score)
        return a->score > b->score;
    return t->order ? t->order(t->context, a->slot, b->slot) < 0 : a->slot < b->slot;
}

static void swap(struct scored *a, struct scored *b)
{
    struct scored c = *a;
    *a = *b;
    *b = c;
}

/* Puts item i of the heap [0, n) where it belongs among those below it. */
static void sink(struct top *t, size_t i, size_t n)
{
    for (;;) {
        size_t worst = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++)
            if (before(t, &t->items[worst], &t->items[child]))
                worst = child;
        if (worst == i)
            return;
        swap(&t->items[i], &t->items[worst]);
        i = worst;
    }
}

void top_offer(struct top *t, float score, size_t slot)
{
    struct scored offer = {score, slot};
    if (t->n == t->limit) {
        if (t->limit == 0 || !before(t, &offer, &t->items[0]))
            return;
        t->items[0] = offer;
        sink(t, 0, t->n);
        return;
    }
    size_t i = t->n++;
    t->items[i] = offer;
    for (; i > 0 && before(t, &t->items[(i - 1) / 2], &t->items[i]); i = (i - 1) / 2)
        swap(&t->items[i], &t->items[(i - 1) / 2]);
}

void top_sort(struct top *t)
{
    for (size_t i = t->n / 2; i-- > 0;)
        sink(t, i, t->n);
    for (size_t n = t->n; n > 1; n--) {
        swap(&t->items[0], &t->items[n - 1]);
        sink(t, 0, n - 1);
    }
}
