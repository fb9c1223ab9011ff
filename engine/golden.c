/* golden.c - the pictures in a model file that prove that it still gives the vectors it was made with. */
#include "engine/encoder.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/model_parts.h"
#include "engine/pictures/draw.h"

/* 1 - cos of two unit vectors, without the cancellation that the direct formula has where it matters. */
static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum / 2;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median distance between different goldens: what the error of one is measured by. */
static double usual_distance(const struct model *m, size_t dimensions)
{
    double all[MODEL_GOLDENS_MAX * (MODEL_GOLDENS_MAX - 1) / 2];
    size_t n = 0;

    for (size_t i = 0; i < m->n_goldens; i++)
        for (size_t j = 0; j < i; j++)
            all[n++] = distance(m->goldens[i].vector, m->goldens[j].vector, dimensions);
    if (n == 0)
        return 0;
    qsort(all, n, sizeof *all, by_value);
    return n % 2 ? all[n / 2] : (all[n / 2 - 1] + all[n / 2]) / 2;
}

/* The largest distance of a golden from what the encoder makes of it now. */
static bool largest_deviation(struct encoder *enc, const struct model *m, double *out, struct err *e)
{
    size_t dimensions = encoder_dimensions(enc);
    float *vector = mem_new(dimensions, sizeof *vector);
    struct lane *lane = lane_new(enc, 1, e);
    bool ok = lane != NULL;

    *out = 0;
    for (size_t i = 0; ok && i < m->n_goldens; i++) {
        const struct golden *g = &m->goldens[i];
        ok = lane_embed(lane, g->png, g->png_len, &image_default_limits, vector, NULL, e);
        if (ok)
            *out = fmax(*out, distance(vector, g->vector, dimensions));
        else
            err_wrap(e, "golden image %zu", i);
    }
    lane_free(lane);
    free(vector);
    return ok;
}

bool encoder_check(struct encoder *enc, const struct model *m, double *worst, struct err *e)
{
    double allowed = encoder_precision(enc) == PRECISION_BF16 ? 0.02 : 1e-3;
    double usual = usual_distance(m, encoder_dimensions(enc)), deviation;

    *worst = HUGE_VAL;
    if (m->n_goldens < 2)
        return err_set(e, ERR_CORRUPT, "the model has too few golden images to prove it by");
    if (!(usual > 0))
        return err_set(e, ERR_CORRUPT, "the model gives all its golden images the same vector");
    if (!largest_deviation(enc, m, &deviation, e))
        return false;
    *worst = deviation / usual;
    if (*worst <= allowed)
        return true;
    return err_set(e, ERR_CORRUPT, "the golden images deviate by %.2g, allowed is %.2g", *worst, allowed);
}

enum { GOLDENS = 6, GOLDEN_SIDE = 64 };

/* Goldens keep a size that makes files small; preprocessing brings them to the network's. */
static bool draw_golden(size_t i, struct golden *g, struct err *e)
{
    struct image img = {0};
    struct buf png = {0};
    bool ok =
        draw_picture((uint32_t)(i * DRAW_KINDS / GOLDENS), i, GOLDEN_SIDE, &img, e) && image_write_png(&img, &png, e);

    image_clear(&img);
    if (ok)
        g->png = buf_take(&png, &g->png_len);
    buf_clear(&png);
    return ok;
}

bool encoder_make_goldens(struct model *m, struct err *e)
{
    struct encoder *enc = encoder_new(m, &(struct encoder_options){.precision = PRECISION_FP32}, e);
    struct lane *lane = enc ? lane_new(enc, 1, e) : NULL;
    bool ok = lane != NULL;

    model_drop_goldens(m);
    m->goldens = mem_new(GOLDENS, sizeof *m->goldens);
    for (size_t i = 0; ok && i < GOLDENS; i++) {
        struct golden *g = &m->goldens[m->n_goldens++];
        g->vector = mem_new(encoder_dimensions(enc), sizeof *g->vector);
        ok = draw_golden(i, g, e) && lane_embed(lane, g->png, g->png_len, &image_default_limits, g->vector, NULL, e);
    }
    if (!ok)
        model_drop_goldens(m);
    lane_free(lane);
    encoder_release(enc);
    return ok;
}
