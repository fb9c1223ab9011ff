/* preview.c - drawing a batch as pictures again. */
#include "engine/data/preview.h"

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

/* pixels [size, size, 3] into the middle of a white cell, each as a square of `scale`. */
static bool view_image(const struct preprocess *p, const float *pixels, size_t size, size_t scale, uint32_t cell,
                       struct image *out, struct err *e)
{
    const size_t edge = (cell - size * scale) / 2;
    if (!image_new(cell, cell, out, e))
        return false;
    memset(out->rgb, 255, (size_t)cell * cell * 3);
    for (size_t y = 0; y < size * scale; y++)
        for (size_t x = 0; x < size * scale; x++)
            for (size_t c = 0; c < 3; c++)
                out->rgb[((edge + y) * cell + edge + x) * 3 + c] =
                    byte_of(p, pixels[(y / scale * size + x / scale) * 3 + c], c);
    return true;
}

static uint32_t largest(const struct crops *c)
{
    uint32_t size = 0;
    for (size_t i = 0; i < c->n; i++)
        size = c->groups[i].size > size ? c->groups[i].size : size;
    return size;
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
    const struct crop crop = crops_row(o->crops, o->batch->rows / crops_count(o->crops), batch_row);
    struct image img = {0};
    const bool ok = view_image(o->preprocess, o->batch->pixels + crop.at, o->crops->groups[crop.group].size,
                               s->side / largest(o->crops), s->side, &img, e) &&
                    sheet_place(s, (uint32_t)column, (uint32_t)row, &img, SHEET_PLAIN, e);
    image_clear(&img);
    return ok;
}

bool preview_draw(const struct preview_options *o, struct buf *out, struct err *e)
{
    const size_t crops = crops_count(o->crops), n = o->batch->rows / crops, group = 1 + crops;
    const uint32_t size = largest(o->crops), side = size * (uint32_t)max_size(1, SMALL_SIDE / size);
    const size_t wanted = (n + PREVIEW_ROWS - 1) / PREVIEW_ROWS;
    const size_t groups = max_size(1, min_size(wanted, SCREEN / (group * (side + FRAME_AND_GAP))));
    struct sheet s = {.columns = (uint32_t)(groups * group),
                      .side = side,
                      .rows = (uint32_t)min_size(PREVIEW_ROWS, (n + groups - 1) / groups)};
    bool ok = sheet_init(&s, e);
    for (size_t k = 0; ok && k < min_size(n, groups * s.rows); k++) {
        const size_t column = k % groups * group, row = k / groups;
        ok = place_picture(o, &s, column, row, k, e);
        for (size_t v = 0; ok && v < crops; v++)
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
