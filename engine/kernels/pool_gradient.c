/* pool_gradient.c - what training needs of the poolings: which pixel was the largest, and the way back. */
#include "engine/kernels/pool.h"

#include <assert.h>

#include "base/num.h"

/* Channels are worked on in pieces of this many, in fp32. */
enum { PIECE = 256 };

struct piece {
    size_t at, n; /* channels */
};

static void load(const struct tensor *t, size_t at, size_t n, float *out)
{
    if (t->dtype == DTYPE_F32)
        memcpy(out, (const float *)t->data + at, n * sizeof *out);
    else
        bf16_widen((const uint16_t *)t->data + at, n, out);
}

static void store(const float *in, size_t n, const struct tensor *t, size_t at)
{
    if (t->dtype == DTYPE_F32)
        memcpy((float *)t->data + at, in, n * sizeof *in);
    else
        bf16_narrow(in, n, (uint16_t *)t->data + at);
}

HOT_LOOP static void keep_larger(const float *restrict x, size_t n, uint8_t mark, float *restrict best,
                                 uint8_t *restrict at)
{
    for (size_t k = 0; k < n; k++) {
        bool larger = x[k] > best[k];
        best[k] = larger ? x[k] : best[k];
        at[k] = larger ? mark : at[k];
    }
}

struct window {
    size_t size, stride, pad;
};

/* The input coordinate of place i in the window at `out`; false outside the picture. */
static bool inside(const struct window *w, size_t out, size_t i, size_t side, size_t *in)
{
    *in = out * w->stride + i - w->pad; /* wraps below 0, and then is not below side */
    return *in < side;
}

static void mark_pixel(const struct tensor *x, const struct window *w, size_t image, size_t oy, size_t ox,
                       struct piece c, const struct tensor *y, size_t to, uint8_t *at)
{
    float best[PIECE], in[PIECE];
    bool first = true;
    size_t iy, ix;

    for (size_t i = 0; i < w->size; i++)
        for (size_t j = 0; j < w->size; j++) {
            if (!inside(w, oy, i, x->h, &iy) || !inside(w, ox, j, x->w, &ix))
                continue;
            load(x, ((image * x->h + iy) * x->w + ix) * x->c + c.at, c.n, first ? best : in);
            if (first)
                memset(at + to, (int)(i * w->size + j), c.n);
            else
                keep_larger(in, c.n, (uint8_t)(i * w->size + j), best, at + to);
            first = false;
        }
    store(best, c.n, y, to);
}

void pool_max_marked(const struct tensor *x, size_t window, size_t stride, size_t pad, const struct tensor *y,
                     uint8_t *at)
{
    const struct window w = {window, stride, pad};

    assert(x->dtype == y->dtype && x->n == y->n && x->c == y->c && window <= 15);
#pragma omp parallel for schedule(static)
    for (size_t image = 0; image < x->n; image++)
        for (size_t pixel = 0; pixel < y->h * y->w; pixel++)
            for (size_t c = 0; c < x->c; c += PIECE)
                mark_pixel(x, &w, image, pixel / y->w, pixel % y->w, (struct piece){c, min_size(PIECE, x->c - c)}, y,
                           (image * y->h * y->w + pixel) * x->c + c, at);
}

HOT_LOOP static void add_marked(const float *restrict dy, const uint8_t *restrict at, uint8_t mark, size_t n,
                                float *restrict sum)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += at[k] == mark ? dy[k] : 0.0f;
}

/* The output whose window has pixel `in` at place i; false when there is none. */
static bool window_at(const struct window *w, size_t in, size_t i, size_t side, size_t *out)
{
    size_t from = in + w->pad - i;
    *out = from / w->stride;
    return in + w->pad >= i && from % w->stride == 0 && *out < side;
}

static void gather_pixel(const struct tensor *dy, const uint8_t *at, const struct window *w, size_t image, size_t iy,
                         size_t ix, struct piece c, float *sum)
{
    float in[PIECE];
    size_t oy, ox;

    memset(sum, 0, c.n * sizeof *sum);
    for (size_t i = 0; i < w->size; i++)
        for (size_t j = 0; j < w->size; j++) {
            if (!window_at(w, iy, i, dy->h, &oy) || !window_at(w, ix, j, dy->w, &ox))
                continue;
            size_t from = ((image * dy->h + oy) * dy->w + ox) * dy->c + c.at;
            load(dy, from, c.n, in);
            add_marked(in, at + from, (uint8_t)(i * w->size + j), c.n, sum);
        }
}

void pool_max_gradient(const struct tensor *dy, const uint8_t *at, size_t window, size_t stride, size_t pad,
                       const struct tensor *dx)
{
    const struct window w = {window, stride, pad};

#pragma omp parallel for schedule(static)
    for (size_t image = 0; image < dx->n; image++)
        for (size_t pixel = 0; pixel < dx->h * dx->w; pixel++)
            for (size_t c = 0; c < dx->c; c += PIECE) {
                float sum[PIECE];
                struct piece p = {c, min_size(PIECE, dx->c - c)};
                gather_pixel(dy, at, &w, image, pixel / dx->w, pixel % dx->w, p, sum);
                store(sum, p.n, dx, (image * dx->h * dx->w + pixel) * dx->c + c);
            }
}

void pool_average_gradient(const float *dy, const struct tensor *dx)
{
    size_t pixels = dx->h * dx->w;

#pragma omp parallel for schedule(static)
    for (size_t image = 0; image < dx->n; image++)
        for (size_t c = 0; c < dx->c; c += PIECE) {
            float part[PIECE];
            size_t n = min_size(PIECE, dx->c - c);
            for (size_t k = 0; k < n; k++)
                part[k] = dy[image * dx->c + c + k] / (float)pixels;
            for (size_t i = 0; i < pixels; i++)
                store(part, n, dx, (image * pixels + i) * dx->c + c);
        }
}
