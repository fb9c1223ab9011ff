/* write.c - see write.h. */
#include "index/values/write.h"

#include <stdlib.h>

void write_clear(struct write *w)
{
    if (w->kind == WRITE_IMAGE_PUT || w->kind == WRITE_IMAGE_PATCH) {
        image_row_clear(&w->image.row);
    } else if (w->kind == WRITE_IMAGES_PATCH) {
        while (w->images.n_changed > 0)
            image_row_clear(&w->images.changed[--w->images.n_changed]);
        free(w->images.changed);
        w->images.changed = NULL;
    }
}
