/* preview.h - what the network will see: pictures of a batch beside their crops.
 *
 *     const struct batch *b = loader_take(loader, e);
 *     preview_write(&(struct preview_options){.batch = b, .crops = &crops, ...}, "sheet.png", e);
 *
 * The crops are the batch's own values, with mean and standard deviation taken back out.  Nothing is resampled: where
 * the input is small, each pixel is drawn as a square.  Small crops are as small beside full ones as for the network.
 */
#ifndef ANCHORD_ENGINE_DATA_PREVIEW_H
#define ANCHORD_ENGINE_DATA_PREVIEW_H

#include "engine/data/loader.h"

enum { PREVIEW_ROWS = 8 };

struct preview_options { /* all borrowed; as the loader that made the batch was told */
    const struct batch *batch;
    const struct crops *crops;
    const struct preprocess *preprocess;
    const struct dataset *dataset;
};

/* A contact sheet of the batch's first pictures: each picture in a blue frame, then its crops.  As many stand side by
 * side as a screen has room for, and PREVIEW_ROWS below each other.  PNG, appended to out. */
MUST_CHECK bool preview_draw(const struct preview_options *o, struct buf *out, struct err *e);
/* The same into a file, durably. */
MUST_CHECK bool preview_write(const struct preview_options *o, const char *path, struct err *e);

#endif
