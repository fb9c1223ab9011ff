/* resize.c - antialiased separable resampling, with Pillow's arithmetic.
 *
 * Each output pixel is a weighted sum of the input pixels around its centre; when shrinking, the filter is
 * widened by the scale.  Weights are fixed point with 22 bits (32 less 8 for a pixel and 2 for the
 * overshoot of the cubic), sums are rounded to 8 bits after the horizontal pass and after the vertical one.
 */
#include "engine/pictures/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { FRACTION_BITS = 22, HALF = 1 << (FRACTION_BITS - 1) };

struct taps {            /* the weighted inputs of each output position of one axis */
    size_t n, count;     /* positions; taps of each, some with weight 0 */
    uint32_t *first;     /* [n]; first + count never passes the end of the input */
    int32_t *weight;     /* [n, count] */
    uint32_t begin, end; /* the inputs that matter at all */
};

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys 1981, with a = -1/2. */
static double cubic(double x)
{
    x = fabs(x);
    if (x < 1.0)
        return (1.5 * x - 2.5) * x * x + 1.0;
    if (x < 2.0)
        return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0;
    return 0.0;
}

static const struct kernel {
    double (*value)(double x);
    double support;
} kernels[] = {[RESIZE_BILINEAR] = {triangle, 1.0}, [RESIZE_BICUBIC] = {cubic, 2.0}};

static void taps_clear(struct taps *t)
{
    free(t->first);
    free(t->weight);
}

/* The weights of position i, whose centre lies at `centre` in the input. */
static void place_taps(struct taps *t, size_t i, double centre, double stretch, uint32_t in, const struct kernel *k)
{
    const double reach = k->support * stretch;
    const double low = centre - reach + 0.5, high = centre + reach + 0.5;
    const uint32_t from = low < 0 ? 0 : (uint32_t)low, to = high > in ? in : (uint32_t)high;
    /* At the far end the window begins earlier, with weights of 0 in front. */
    const uint32_t first = from + t->count > in ? in - (uint32_t)t->count : from;
    int32_t *weight = t->weight + i * t->count;
    double sum = 0;
    for (uint32_t j = from; j < to; j++)
        sum += k->value((j - centre + 0.5) / stretch);
    for (uint32_t j = from; j < to; j++) {
        double share = k->value((j - centre + 0.5) / stretch) / sum;
        weight[j - first] = (int32_t)lround(share * (1 << FRACTION_BITS));
    }
    t->first[i] = first;
}

/* Taps for outputs [from, from + n) of an axis that goes from `in` to `out` pixels. */
static bool taps_new(struct taps *t, uint32_t in, uint32_t out, uint32_t from, uint32_t n, const struct kernel *k,
                     struct err *e)
{
    const double scale = (double)in / out, stretch = fmax(scale, 1.0);
    *t = (struct taps){.n = n, .count = min_size((size_t)(2 * k->support * stretch) + 1, in)};
    t->first = mem_try(n, sizeof *t->first, e);
    t->weight = mem_try(t->count * n, sizeof *t->weight, e);
    if (!t->first || !t->weight)
        return false;
    for (size_t i = 0; i < n; i++)
        place_taps(t, i, ((double)(from + i) + 0.5) * scale, stretch, in, k);
    t->begin = t->first[0];
    t->end = t->first[n - 1] + (uint32_t)t->count;
    return true;
}

/* ---- the horizontal pass: four rows at a time, each pixel with a spare byte in four lanes ---- */

enum { TOGETHER = 4, LANES = 4 * TOGETHER };
typedef int32_t lanes __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef uint8_t bytes __attribute__((vector_size(LANES)));

/* out: for each of n pixels four bytes of each row.  The last pixel has no neighbour to borrow a byte from. */
static void interleave_rows(const uint8_t *const rows[TOGETHER], size_t n, uint8_t *out)
{
    for (size_t x = 0; x + 1 < n; x++)
        for (size_t r = 0; r < TOGETHER; r++)
            memcpy(out + x * LANES + r * 4, rows[r] + x * 3, 4);
    for (size_t r = 0; r < TOGETHER; r++)
        memcpy(out + (n - 1) * LANES + r * 4, rows[r] + (n - 1) * 3, 3);
}

HOT_LOOP static void widen(const uint8_t *in, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = in[i];
}

/* in: from pixel t->begin on.  Each output row is `stride` bytes behind the one before and may be written
 * one byte past its last pixel. */
HOT_LOOP static void sum_across(const struct taps *t, const lanes *in, uint8_t *out, size_t stride)
{
    for (size_t i = 0; i < t->n; i++) {
        const lanes *p = in + (t->first[i] - t->begin);
        const int32_t *weight = t->weight + i * t->count;
        lanes sum = HALF - (lanes){0};
        for (size_t k = 0; k < t->count; k++)
            sum += p[k] * weight[k];
        sum >>= FRACTION_BITS;
        sum &= ~(sum >> 31);      /* below 0: 0 */
        sum |= (255 - sum) >> 31; /* above 255: all ones, of which a byte is taken */
        const bytes done = __builtin_convertvector(sum, bytes);
        for (size_t r = 0; r < TOGETHER; r++)
            memcpy(out + r * stride + i * 3, (const uint8_t *)&done + r * 4, 4);
    }
}

enum { BLOCK = 64 }; /* bytes of a row that the vertical pass sums at once, in registers */

struct rows { /* what lies between the passes: the rows that the vertical pass needs, of BLOCKs */
    uint8_t *bytes;
    size_t stride;
};

static bool horizontal_pass(const struct image *in, const struct taps *across, const struct taps *down,
                            struct rows *out, struct err *e)
{
    const size_t used = across->end - across->begin, n = down->end - down->begin;
    const size_t padded = (n + TOGETHER - 1) / TOGETHER * TOGETHER;
    out->stride = (across->n * 3 + BLOCK) / BLOCK * BLOCK; /* a byte more than the pixels, at least */
    out->bytes = mem_try(padded, out->stride, e);
    uint8_t *narrow = mem_try(used, LANES, e);
    int32_t *wide = mem_aligned(used * LANES, sizeof *wide); /* a megabyte at the default limits */
    if (out->bytes && narrow)
        for (size_t y = 0; y < n; y += TOGETHER) {
            const uint8_t *rows[TOGETHER];
            for (size_t r = 0; r < TOGETHER; r++) /* behind the last row it is taken again */
                rows[r] = in->rgb + ((down->begin + min_size(y + r, n - 1)) * in->width + across->begin) * 3;
            interleave_rows(rows, used, narrow);
            widen(narrow, used * LANES, wide);
            sum_across(across, (const lanes *)wide, out->bytes + y * out->stride, out->stride);
        }
    free(narrow);
    free(wide);
    return out->bytes && narrow;
}

/* ---- the vertical pass: an output row is a weighted sum of rows ---- */

static inline uint8_t round_to_byte(int32_t sum)
{
    sum >>= FRACTION_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

HOT_LOOP static void sum_down(const int32_t *weight, size_t count, const uint8_t *in, size_t stride, size_t n,
                              uint8_t *out)
{
    for (size_t x = 0; x < n; x += BLOCK) {
        int32_t sum[BLOCK];
        uint8_t done[BLOCK];
        for (size_t i = 0; i < BLOCK; i++)
            sum[i] = HALF;
        for (size_t k = 0; k < count; k++)
            for (size_t i = 0; i < BLOCK; i++)
                sum[i] += in[k * stride + x + i] * weight[k];
        for (size_t i = 0; i < BLOCK; i++)
            done[i] = round_to_byte(sum[i]);
        memcpy(out + x, done, min_size(BLOCK, n - x));
    }
}

static void vertical_pass(const struct rows *in, const struct taps *down, struct image *out)
{
    const size_t n = (size_t)out->width * 3;
    for (size_t y = 0; y < out->height; y++)
        sum_down(down->weight + y * down->count, down->count, in->bytes + (down->first[y] - down->begin) * in->stride,
                 in->stride, n, out->rgb + y * n);
}

bool resize_window(const struct image *in, const struct resize *r, struct image *out, struct err *e)
{
    const struct kernel *k = &kernels[r->filter];
    struct taps across = {0}, down = {0};
    struct rows rows = {0};
    const bool ok = taps_new(&across, in->width, r->width, r->x, out->width, k, e) &&
                    taps_new(&down, in->height, r->height, r->y, out->height, k, e) &&
                    horizontal_pass(in, &across, &down, &rows, e);
    if (ok)
        vertical_pass(&rows, &down, out);
    free(rows.bytes);
    taps_clear(&across);
    taps_clear(&down);
    return ok;
}

bool image_resize(const struct image *in, uint32_t width, uint32_t height, enum resize_filter filter, struct image *out,
                  struct err *e)
{
    const struct resize whole = {.width = width, .height = height, .filter = filter};
    struct image img = {0};
    if (!image_new(width, height, &img, e) || !resize_window(in, &whole, &img, e)) {
        image_clear(&img);
        return false;
    }
    *out = img;
    return true;
}
