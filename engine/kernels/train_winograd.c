/* train_winograd.c - the passes of 3x3 convolutions of stride 1 by Winograd's algorithm (winograd.h), in fp32 whatever
 * the tensors are.
 *
 * Tiles are worked on in groups: transformed into 36 matrices [tiles, channels], multiplied in each place, transformed
 * back.  The gradient of the input is a convolution too, of dy with the filters turned around.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/train_conv.h"
#include "engine/kernels/winograd.h"

enum { TILE = WINOGRAD_TILE, PATCH = WINOGRAD_PATCH, PLACES = WINOGRAD_PLACES, TAPS = WINOGRAD_TAPS };
enum { PIECE = 64 }; /* channels transformed at once: a patch of them stays in the first-level cache */
enum { LINE = 16 };  /* channels of a cache line */
/* A group's matrices stay near the processor; but fewer tiles would not be worth reading the filters for. */
enum { GROUP_BYTES = 2 << 20, GROUP_TILES = 128 };

struct train_conv {
    struct conv_spec s;
    enum conv_pass pass;
    size_t down, across, tiles; /* tiles of one picture, both ways; of all */
    size_t group;
};

struct matrices {   /* in the scratch */
    float *filters; /* [36, k, c], or their gradient; [36, c, k] for the forward pass */
    float *x, *y;   /* [36, group, c] and [36, group, k] */
};

static bool supports(const struct conv_spec *s, enum conv_pass pass)
{
    UNUSED(pass);
    return s->window == 3 && s->stride == 1 && s->pad == 1 && s->c >= 16 && s->k >= 16;
}

static struct train_conv *open_job(const struct conv_spec *s, enum conv_pass pass, struct err *e)
{
    struct train_conv *j = mem_new(1, sizeof *j);

    UNUSED(e);
    j->s = *s;
    j->pass = pass;
    j->down = (s->h + TILE - 1) / TILE;
    j->across = (s->w + TILE - 1) / TILE;
    j->tiles = s->n * j->down * j->across;
    j->group = min_size(j->tiles, max_size(GROUP_TILES, GROUP_BYTES / (PLACES * (s->c + s->k) * sizeof(float))));
    return j;
}

static void close_job(struct train_conv *j)
{
    free(j);
}

static size_t scratch_of(const struct train_conv *j)
{
    return PLACES * (j->s.k * j->s.c + j->group * (j->s.c + j->s.k)) * sizeof(float);
}

static struct matrices place(const struct train_conv *j, void *scratch)
{
    float *at = scratch;
    return (struct matrices){at, at + PLACES * j->s.k * j->s.c, at + PLACES * (j->s.k * j->s.c + j->group * j->s.c)};
}

/* ---- filters ---- */

/* w [n, 9, c] -> out [LINE, 9, n], of LINE input channels; what is read together lies together. */
static void turn_filters(const float *w, size_t n, size_t c, size_t line, float *out)
{
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < TAPS; i++)
            for (size_t in = 0; in < line; in++)
                out[(in * TAPS + i) * n + p] = w[(p * TAPS + i) * c + in];
}

/* [k, 9, c] -> [36, c, k] */
static void transform_for_output(const struct train_conv *j, const float *w, float *out)
{
    size_t c = j->s.c, k = j->s.k;

#pragma omp parallel for schedule(static)
    for (size_t from = 0; from < c; from += LINE)
        for (size_t first = 0; first < k; first += PIECE) {
            float half[PLACES * PIECE], turned[LINE * TAPS * PIECE];
            const float *cells[TAPS];
            size_t n = min_size(PIECE, k - first), line = min_size(LINE, c - from);
            turn_filters(w + first * TAPS * c + from, n, c, line, turned);
            for (size_t in = 0; in < line; in++) {
                for (size_t i = 0; i < TAPS; i++)
                    cells[i] = turned + (in * TAPS + i) * n;
                winograd_filter(cells, n, half, out + (from + in) * k + first, c * k);
            }
        }
}

/* [k, 9, c] -> [36, k, c], turned around. */
static void transform_for_input(const struct train_conv *j, const float *w, float *out)
{
    size_t c = j->s.c, plane = j->s.k * c;

#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < j->s.k; k++)
        for (size_t first = 0; first < c; first += PIECE) {
            float half[PLACES * PIECE];
            const float *cells[TAPS];
            for (size_t i = 0; i < TAPS; i++)
                cells[i] = w + (k * TAPS + TAPS - 1 - i) * c + first;
            winograd_filter(cells, min_size(PIECE, c - first), half, out + k * c + first, plane);
        }
}

static void filters_gradient(const struct train_conv *j, const float *sums, float *dw)
{
    size_t c = j->s.c, plane = j->s.k * c;

#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < j->s.k; k++)
        for (size_t first = 0; first < c; first += PIECE) {
            float half[PLACES * PIECE];
            winograd_taps(sums + k * c + first, plane, min_size(PIECE, c - first), half, dw + k * TAPS * c + first, c);
        }
}

/* ---- tiles ---- */

/* Cells (side x side, the first at pixel y, x of the picture's border of `pad` pixels) of channels first to first + n:
 * where they lie, or widened into `buffer`; zero outside the picture. */
static void list_cells(const struct train_conv *j, const void *tensor, size_t channels, size_t tile, size_t side,
                       size_t pad, size_t first, size_t n, float *buffer, const float **cells)
{
    static const float zeros[PIECE];
    const struct conv_spec *s = &j->s;
    size_t row = tile / j->across, image = row / j->down, top = row % j->down * TILE, left = tile % j->across * TILE;

    for (size_t i = 0; i < side * side; i++) {
        size_t y = top + i / side - pad, x = left + i % side - pad; /* above and left of the picture they wrap */
        size_t at = ((image * s->h + y) * s->w + x) * channels + first;
        if (y >= s->h || x >= s->w) {
            cells[i] = zeros;
        } else if (s->dtype == DTYPE_F32) {
            cells[i] = (const float *)tensor + at;
        } else {
            bf16_widen((const uint16_t *)tensor + at, n, buffer + i * n);
            cells[i] = buffer + i * n;
        }
    }
}

/* The group's tiles of a tensor, as patches that overlap or (`spread`) as tiles of a gradient, to 36 matrices. */
static void load_group(const struct train_conv *j, const void *tensor, size_t channels, bool spread, size_t first_tile,
                       size_t tiles, float *out)
{
    size_t plane = j->group * channels;

#pragma omp parallel for schedule(static)
    for (size_t t = 0; t < tiles; t++)
        for (size_t first = 0; first < channels; first += PIECE) {
            float half[PLACES * PIECE], buffer[PLACES * PIECE], *to = out + t * channels + first;
            const float *cells[PLACES];
            size_t n = min_size(PIECE, channels - first);
            list_cells(j, tensor, channels, first_tile + t, spread ? TILE : PATCH, spread ? 0 : 1, first, n, buffer,
                       cells);
            if (spread)
                winograd_spread(cells, n, half, to, plane);
            else
                winograd_input(cells, n, half, to, plane);
        }
}

static void store_tile(const struct train_conv *j, const float *pixels, size_t tile, size_t channels, size_t first,
                       size_t n, void *tensor)
{
    const struct conv_spec *s = &j->s;
    size_t row = tile / j->across, image = row / j->down, top = row % j->down * TILE, left = tile % j->across * TILE;

    for (size_t y = 0; y < TILE && top + y < s->h; y++)
        for (size_t x = 0; x < TILE && left + x < s->w; x++) {
            size_t at = ((image * s->h + top + y) * s->w + left + x) * channels + first;
            const float *from = pixels + (y * TILE + x) * n;
            if (s->dtype == DTYPE_F32)
                memcpy((float *)tensor + at, from, n * sizeof *from);
            else
                bf16_narrow(from, n, (uint16_t *)tensor + at);
        }
}

static void store_group(const struct train_conv *j, const float *in, size_t channels, size_t first_tile, size_t tiles,
                        void *tensor)
{
    size_t plane = j->group * channels;

#pragma omp parallel for schedule(static)
    for (size_t t = 0; t < tiles; t++)
        for (size_t first = 0; first < channels; first += PIECE) {
            float half[PLACES * PIECE], pixels[TILE * TILE * PIECE];
            size_t n = min_size(PIECE, channels - first);
            winograd_output(in + t * channels + first, plane, n, half, pixels, n);
            store_tile(j, pixels, first_tile + t, channels, first, n, tensor);
        }
}

/* ---- passes ---- */

static void multiply(const struct train_conv *j, const struct matrices *m, size_t tiles, bool first)
{
    size_t c = j->s.c, k = j->s.k;

#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < PLACES; i++) {
        float *x = m->x + i * j->group * c, *y = m->y + i * j->group * k, *w = m->filters + i * k * c;
        if (j->pass == CONV_FORWARD)
            gemm_nn(tiles, k, c, 1, x, w, 0, y);
        else if (j->pass == CONV_BACK_DATA)
            gemm_nn(tiles, c, k, 1, y, w, 0, x);
        else
            gemm_tn(k, c, tiles, 1, y, x, first ? 0 : 1, w);
    }
}

static bool run(struct train_conv *j, const struct train_operands *o)
{
    const struct matrices m = place(j, o->scratch);
    bool weights = j->pass == CONV_BACK_WEIGHTS;

    if (j->pass == CONV_FORWARD)
        transform_for_output(j, o->w, m.filters);
    if (j->pass == CONV_BACK_DATA)
        transform_for_input(j, o->w, m.filters);
    for (size_t first = 0; first < j->tiles; first += j->group) {
        size_t n = min_size(j->group, j->tiles - first);
        if (j->pass != CONV_BACK_DATA)
            load_group(j, o->x, j->s.c, false, first, n, m.x);
        if (j->pass != CONV_FORWARD)
            load_group(j, o->y, j->s.k, weights, first, n, m.y);
        multiply(j, &m, n, first == 0);
        if (j->pass == CONV_FORWARD)
            store_group(j, m.y, j->s.k, first, n, o->y);
        else if (j->pass == CONV_BACK_DATA)
            store_group(j, m.x, j->s.c, first, n, o->x);
    }
    if (weights)
        filters_gradient(j, m.filters, o->w);
    return true;
}

const struct train_kernel train_winograd = {
    .name = "winograd",
    .supports = supports,
    .open = open_job,
    .close = close_job,
    .scratch = scratch_of,
    .run = run,
};
