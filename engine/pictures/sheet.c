/* sheet.c - placing pictures and frames on a contact sheet. */
#include "engine/pictures/sheet.h"

#include <assert.h>
#include <string.h>

#include "engine/pictures/preprocess.h"

enum { GAP = 6, FRAME = 4, MAX_COUNT = 10000, MAX_PIXELS = 100000000 };

static const uint8_t colours[SHEET_FRAMES][3] = {[SHEET_PLAIN] = {255, 255, 255},
                                                 [SHEET_BLUE] = {30, 90, 200},
                                                 [SHEET_GREEN] = {40, 160, 70},
                                                 [SHEET_RED] = {210, 50, 40}};

static uint32_t pitch(const struct sheet *s)
{
    return s->side + 2 * FRAME + GAP;
}

bool sheet_init(struct sheet *s, struct err *e)
{
    s->image = (struct image){0};
    if (s->columns > MAX_COUNT || s->rows > MAX_COUNT || s->side > MAX_COUNT ||
        (uint64_t)s->columns * s->rows * pitch(s) * pitch(s) > MAX_PIXELS)
        return err_set(e, ERR_TOO_LARGE, "a sheet of %u x %u pictures of %u pixels is too large", s->columns, s->rows,
                       s->side);
    const uint32_t width = s->columns * pitch(s) + GAP, height = s->rows * pitch(s) + GAP;
    if (!image_new(width, height, &s->image, e))
        return false;
    memset(s->image.rgb, 255, (size_t)width * height * 3);
    return true;
}

void sheet_clear(struct sheet *s)
{
    image_clear(&s->image);
}

static void fill(struct image *to, uint32_t left, uint32_t top, uint32_t side, const uint8_t *colour)
{
    for (size_t y = top; y < top + side; y++)
        for (size_t x = left; x < left + side; x++)
            memcpy(to->rgb + (y * to->width + x) * 3, colour, 3);
}

static void copy(const struct image *from, struct image *to, size_t left, size_t top)
{
    const size_t stride = (size_t)from->width * 3;
    for (size_t y = 0; y < from->height; y++)
        memcpy(to->rgb + ((top + y) * to->width + left) * 3, from->rgb + y * stride, stride);
}

bool sheet_place(struct sheet *s, uint32_t column, uint32_t row, const struct image *img, enum sheet_frame frame,
                 struct err *e)
{
    static const uint8_t paper[3] = {255, 255, 255};
    const uint32_t longest = img->width > img->height ? img->width : img->height;
    const uint32_t width = (uint32_t)((uint64_t)img->width * s->side / longest);
    const uint32_t height = (uint32_t)((uint64_t)img->height * s->side / longest);
    const uint32_t left = GAP + column * pitch(s), top = GAP + row * pitch(s);
    struct image small = {0};
    assert(column < s->columns && row < s->rows);
    if (!image_resize(img, width ? width : 1, height ? height : 1, RESIZE_BICUBIC, &small, e))
        return false;
    fill(&s->image, left, top, s->side + 2 * FRAME, colours[frame]);
    fill(&s->image, left + FRAME, top + FRAME, s->side, paper);
    copy(&small, &s->image, left + FRAME + (s->side - small.width) / 2, top + FRAME + (s->side - small.height) / 2);
    image_clear(&small);
    return true;
}
