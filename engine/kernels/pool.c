/* pool.c - max and average pooling. */
#include "engine/kernels/pool.h"

#include <assert.h>

#include "base/num.h"

/* out[c] = the largest of `rows` x `columns` pixels of x, whose lines are `line` values apart. */
HOT_LOOP static void max_f32(const float *restrict x, size_t rows, size_t columns, size_t line, size_t c,
                             float *restrict out)
{
    memcpy(out, x, c * sizeof *out);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const float *pixel = x + i * line + j * c;
            for (size_t k = 0; k < c; k++)
                out[k] = pixel[k] > out[k] ? pixel[k] : out[k];
        }
}

/* bf16 has a sign and a magnitude; flipping the magnitude of negatives makes its order that of integers. */
static inline int16_t ordered(int16_t bits)
{
    return (int16_t)(bits ^ ((bits >> 15) & 0x7fff));
}

HOT_LOOP static void max_bf16(const int16_t *restrict x, size_t rows, size_t columns, size_t line, size_t c,
                              int16_t *restrict out)
{
    for (size_t k = 0; k < c; k++)
        out[k] = ordered(x[k]);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const int16_t *pixel = x + i * line + j * c;
            for (size_t k = 0; k < c; k++)
                out[k] = ordered(pixel[k]) > out[k] ? ordered(pixel[k]) : out[k];
        }
    for (size_t k = 0; k < c; k++)
        out[k] = ordered(out[k]);
}

struct range { /* the part of a window that lies inside the picture */
    size_t first, count;
};

static struct range clip(size_t at, size_t window, size_t stride, size_t pad, size_t side)
{
    size_t begin = at * stride, end = min_size(begin + window, side + pad);
    size_t first = max_size(begin, pad);
    assert(end > first);
    return (struct range){first - pad, end - first};
}

void pool_max(const struct tensor *x, size_t window, size_t stride, size_t pad, const struct tensor *y)
{
    size_t line = x->w * x->c, out = 0;

    assert(x->dtype == y->dtype && x->n == y->n && x->c == y->c);
    for (size_t image = 0; image < x->n; image++)
        for (size_t oy = 0; oy < y->h; oy++)
            for (size_t ox = 0; ox < y->w; ox++, out += x->c) {
                struct range rows = clip(oy, window, stride, pad, x->h);
                struct range columns = clip(ox, window, stride, pad, x->w);
                size_t in = (image * x->h + rows.first) * line + columns.first * x->c;
                if (x->dtype == DTYPE_BF16)
                    max_bf16((const int16_t *)x->data + in, rows.count, columns.count, line, x->c,
                             (int16_t *)y->data + out);
                else
                    max_f32((const float *)x->data + in, rows.count, columns.count, line, x->c, (float *)y->data + out);
            }
}

HOT_LOOP static void mean_f32(const float *restrict x, size_t pixels, size_t c, float *restrict out)
{
    memset(out, 0, c * sizeof *out);
    for (size_t i = 0; i < pixels; i++)
        for (size_t k = 0; k < c; k++)
            out[k] += x[i * c + k];
    for (size_t k = 0; k < c; k++)
        out[k] /= (float)pixels;
}

HOT_LOOP static void mean_bf16(const uint16_t *restrict x, size_t pixels, size_t c, float *restrict out)
{
    memset(out, 0, c * sizeof *out);
    for (size_t i = 0; i < pixels; i++)
        for (size_t k = 0; k < c; k++)
            out[k] += bf16_to_float(x[i * c + k]);
    for (size_t k = 0; k < c; k++)
        out[k] /= (float)pixels;
}

void pool_average(const struct tensor *x, float *y)
{
    size_t pixels = x->h * x->w;

    for (size_t image = 0; image < x->n; image++) {
        size_t in = image * pixels * x->c;
        if (x->dtype == DTYPE_BF16)
            mean_bf16((const uint16_t *)x->data + in, pixels, x->c, y + image * x->c);
        else
            mean_f32((const float *)x->data + in, pixels, x->c, y + image * x->c);
    }
}
