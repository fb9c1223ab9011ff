/* sheet.h - a contact sheet: pictures side by side on one, each in a coloured frame.
 *
 *     struct sheet s = {.columns = 6, .rows = 4, .side = 96};
 *     sheet_init(&s, e);
 *     sheet_place(&s, 0, 0, &img, SHEET_GREEN, e);
 *     image_write_png(&s.image, &out, e);
 *     sheet_clear(&s);
 */
#ifndef ANCHORD_ENGINE_PICTURES_SHEET_H
#define ANCHORD_ENGINE_PICTURES_SHEET_H

#include "engine/pictures/image.h"

enum sheet_frame { SHEET_PLAIN, SHEET_BLUE, SHEET_GREEN, SHEET_RED, SHEET_FRAMES };

struct sheet {
    uint32_t columns, rows, side; /* side: of a cell's square, in pixels, without its frame */
    struct image image;           /* owned */
};

/* A white sheet with columns, rows and side as they are set.  ERR_TOO_LARGE over 100 million pixels. */
MUST_CHECK bool sheet_init(struct sheet *s, struct err *e);
void sheet_clear(struct sheet *s);

/* Puts a picture into the middle of a cell, made to fit without a change of its ratio. */
MUST_CHECK bool sheet_place(struct sheet *s, uint32_t column, uint32_t row, const struct image *img,
                            enum sheet_frame frame, struct err *e);

#endif
