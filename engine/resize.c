/* resize.c - antialiased separable resampling, with Pillow's arithmetic.
 *
 * Each output pixel is a weighted sum of the input pixels around its centre; when shrinking, the filter is
 * widened by the scale.  Weights are fixed point with 22 bits (32 less 8 for a pixel and 2 for the
 * overshoot of the cubic), sums are rounded to 8 bits after the horizontal pass and after the vertical one.
 */
#include "engine/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { FRACTION_BITS = 22, HALF = 1 << (FRACTION_BITS - 1) };

struct taps { /* the weighted inputs of each output position of one axis */
    size_t n, most;      /* positions; most taps of one */
    uint32_t *first;     /* [n] */
    uint32_t *count;     /* [n] */
    int32_t *weight;     /* [n, most] */
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
    free(t->count);
    free(t->weight);
}

/* Fills the taps of position i, whose centre lies at `centre` in the input. */
static void place_taps(struct taps *t, size_t i, double centre, double stretch, uint32_t in,
                       const struct kernel *k)
{
    const double reach = k->support * stretch;
    const double low = centre - reach + 0.5, high = centre + reach + 0.5;
    const uint32_t from = low < 0 ? 0 : (uint32_t)low, to = high > in ? in : (uint32_t)high;
    int32_t *weight = t->weight + i * t->most;
    double sum = 0;
    for (uint32_t j = from; j < to; j++)
        sum += k->value((j - centre + 0.5) / stretch);
    for (uint32_t j = from; j < to; j++) {
        double share = k->value((j - centre + 0.5) / stretch) / sum;
        weight[j - from] = (int32_t)lround(share * (1 << FRACTION_BITS));
    }
    t->first[i] = from;
    t->count[i] = to - from;
}

/* Taps for outputs [from, from + n) of an axis that goes from `in` to `out` pixels. */
static bool taps_new(struct taps *t, uint32_t in, uint32_t out, uint32_t from, uint32_t n,
                     const struct kernel *k, struct err *e)
{
    const double scale = (double)in / out, stretch = fmax(scale, 1.0);
    *t = (struct taps){.n = n, .most = (size_t)ceil(k->support * stretch) * 2 + 1};
    t->first = mem_try(n, sizeof *t->first, e);
    t->count = mem_try(n, sizeof *t->count, e);
    t->weight = mem_try(t->most * n, sizeof *t->weight, e);
    if (!t->first || !t->count || !t->weight)
        return false;
    for (size_t i = 0; i < n; i++)
        place_taps(t, i, ((double)(from + i) + 0.5) * scale, stretch, in, k);
    t->begin = t->first[0];
    t->end = t->first[n - 1] + t->count[n - 1];
    return true;
}

static inline uint8_t round_to_byte(int32_t sum)
{
    sum >>= FRACTION_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One row: `in` begins at pixel t->begin and may be read one byte behind its last pixel.  The three channels
 * of a pixel and one byte of its neighbour go through the four lanes of a vector together. */
typedef uint8_t bytes4 __attribute__((vector_size(4)));
typedef int32_t ints4 __attribute__((vector_size(16)));

HOT_LOOP static void resample_row(const struct taps *t, const uint8_t *in, uint8_t *out)
{
    for (size_t i = 0; i < t->n; i++) {
        const uint8_t *p = in + (size_t)(t->first[i] - t->begin) * 3;
        const int32_t *weight = t->weight + i * t->most;
        ints4 sum = {HALF, HALF, HALF, HALF};
        for (size_t k = 0; k < t->count[i]; k++, p += 3) {
            bytes4 pixel;
            memcpy(&pixel, p, sizeof pixel);
            sum += __builtin_convertvector(pixel, ints4) * weight[k];
        }
        for (size_t c = 0; c < 3; c++)
            out[i * 3 + c] = round_to_byte(sum[c]);
    }
}

/* One output row of `stride` bytes from the rows that begin at `in`. */
HOT_LOOP static void resample_column(const int32_t *weight, size_t n, const uint8_t *in, size_t stride,
                                     uint8_t *out)
{
    enum { BLOCK = 64 }; /* the sums stay in registers */
    for (size_t x = 0; x < stride; x += BLOCK) {
        const size_t width = min_size(BLOCK, stride - x);
        int32_t sum[BLOCK];
        for (size_t i = 0; i < BLOCK; i++)
            sum[i] = HALF;
        if (width == BLOCK)
            for (size_t k = 0; k < n; k++)
                for (size_t i = 0; i < BLOCK; i++)
                    sum[i] += in[k * stride + x + i] * weight[k];
        else
            for (size_t k = 0; k < n; k++)
                for (size_t i = 0; i < width; i++)
                    sum[i] += in[k * stride + x + i] * weight[k];
        for (size_t i = 0; i < width; i++)
            out[x + i] = round_to_byte(sum[i]);
    }
}

/* The rows [rows->begin, rows->end) of the input, each resampled to across->n pixels. */
static bool horizontal_pass(const struct image *in, const struct taps *across, const struct taps *down,
                            uint8_t **out, struct err *e)
{
    const size_t used = (size_t)(across->end - across->begin) * 3, stride = across->n * 3;
    uint8_t *row = mem_try(used + 1, 1, e); /* a copy that may be read one byte too far */
    uint8_t *to = mem_try(down->end - down->begin, stride, e);
    *out = to;
    if (row && to)
        for (size_t y = down->begin; y < down->end; y++, to += stride) {
            memcpy(row, in->rgb + (y * in->width + across->begin) * 3, used);
            resample_row(across, row, to);
        }
    free(row);
    return row && to;
}

bool resize_window(const struct image *in, const struct resize *r, struct image *out, struct err *e)
{
    const struct kernel *k = &kernels[r->filter];
    const size_t stride = (size_t)out->width * 3;
    struct taps across = {0}, down = {0};
    uint8_t *rows = NULL;
    bool ok = taps_new(&across, in->width, r->width, r->x, out->width, k, e) &&
              taps_new(&down, in->height, r->height, r->y, out->height, k, e) &&
              horizontal_pass(in, &across, &down, &rows, e);
    if (ok)
        for (size_t y = 0; y < out->height; y++)
            resample_column(down.weight + y * down.most, down.count[y],
                            rows + (down.first[y] - down.begin) * stride, stride, out->rgb + y * stride);
    free(rows);
    taps_clear(&across);
    taps_clear(&down);
    return ok;
}

bool image_resize(const struct image *in, uint32_t width, uint32_t height, enum resize_filter filter,
                  struct image *out, struct err *e)
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
