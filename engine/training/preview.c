/* preview.c - drawing a batch as pictures again. */
#include "engine/training/preview.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/num.h"
#include "engine/pictures/sheet.h"

enum { SMALL_SIDE = 96, SCREEN = 1400, FRAME_AND_GAP = 14 };

static uint8_t byte_of(const struct preprocess *p, float value, size_t channel)
{
    const double x = ((double)value * (double)p->std[channel] + (double)p->mean[channel]) * 255;
    return (uint8_t)lround(fmin(fmax(x, 0), 255));
}

/* One row of the batch, each pixel as a square of `scale`. */
static bool view_image(const struct preview_options *o, size_t row, uint32_t scale, struct image *out, struct err *e)
{
    const float *pixels = o->batch->pixels + row * o->size * o->size * 3;
    if (!image_new(o->size * scale, o->size * scale, out, e))
        return false;
    for (size_t y = 0; y < out->height; y++)
        for (size_t x = 0; x < out->width; x++)
            for (size_t c = 0; c < 3; c++)
                out->rgb[(y * out->width + x) * 3 + c] =
                    byte_of(o->preprocess, pixels[(y / scale * o->size + x / scale) * 3 + c], c);
    return true;
}

static bool place_picture(const struct preview_options *o, struct sheet *s, size_t column, size_t row, size_t k,
                          struct err *e)
{
    struct image img;
    bool owned;
    if (!dataset_image(o->dataset, o->batch->items[k], &img, &owned, e))
        return false;
    const bool ok = sheet_place(s, (uint32_t)column, (uint32_t)row, &img, SHEET_BLUE, e);
    if (owned)
        image_clear(&img);
    return ok;
}

static bool place_view(const struct preview_options *o, struct sheet *s, size_t column, size_t row, size_t batch_row,
                       struct err *e)
{
    struct image img = {0};
    const bool ok = view_image(o, batch_row, s->side / o->size, &img, e) &&
                    sheet_place(s, (uint32_t)column, (uint32_t)row, &img, SHEET_PLAIN, e);
    image_clear(&img);
    return ok;
}

bool preview_draw(const struct preview_options *o, struct buf *out, struct err *e)
{
    const size_t n = o->batch->rows / o->views, group = 1 + o->views;
    const uint32_t side = o->size * (uint32_t)max_size(1, SMALL_SIDE / o->size);
    const size_t wanted = (n + PREVIEW_ROWS - 1) / PREVIEW_ROWS;
    const size_t groups = max_size(1, min_size(wanted, SCREEN / (group * (side + FRAME_AND_GAP))));
    struct sheet s = {.columns = (uint32_t)(groups * group), .side = side,
                      .rows = (uint32_t)min_size(PREVIEW_ROWS, (n + groups - 1) / groups)};
    bool ok = sheet_init(&s, e);
    for (size_t k = 0; ok && k < min_size(n, groups * s.rows); k++) {
        const size_t column = k % groups * group, row = k / groups;
        ok = place_picture(o, &s, column, row, k, e);
        for (size_t v = 0; ok && v < o->views; v++)
            ok = place_view(o, &s, column + 1 + v, row, v * n + k, e);
    }
    ok = ok && image_write_png(&s.image, out, e);
    sheet_clear(&s);
    return ok;
}

bool preview_write(const struct preview_options *o, const char *path, struct err *e)
{
    struct buf png = {0};
    const bool ok = preview_draw(o, &png, e) && file_replace(path, png.data, png.len, e);
    buf_clear(&png);
    return ok;
}
