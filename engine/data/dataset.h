/* dataset.h - the pictures of a manifest, ready to be drawn into views.
 *
 * Opening one decodes every file once: damaged ones are named in the log, counted and left out, so a run never meets
 * them.  Decoded pictures stay in memory as long as they fit the budget (small pictures always do); the others are
 * decoded again at each use.  A picture is kept no larger than training needs.  JPEGs are decoded at 1/2, 1/4 or 1/8
 * while the shorter side stays at least twice the input size.
 *
 * Threads: after opening, everything is read-only and may be used from any thread.
 */
#ifndef ANCHORD_ENGINE_DATA_DATASET_H
#define ANCHORD_ENGINE_DATA_DATASET_H

#include "base/pool.h"
#include "engine/data/manifest.h"
#include "engine/pictures/image.h"

struct dataset_options {
    uint32_t size; /* of the network's input */
    size_t memory; /* bytes for decoded pictures; 0: 2 GB */
    struct image_limits limits;
    struct pool *pool;                                        /* (optional) decodes on these threads */
    void (*progress)(size_t done, size_t all, void *context); /* (optional) now and then, on the caller's thread */
    void *context;
};

struct dataset;

/* Borrows the manifest, which then holds only the good items (order kept).  ERR_UNDECODABLE when none is left. */
struct dataset *dataset_open(struct manifest *m, const struct dataset_options *o, struct err *e);
void dataset_close(struct dataset *d); /* NULL is fine */
size_t dataset_damaged(const struct dataset *d);

/* The picture of item i of the manifest.  *owned tells whether the caller must image_clear() it. */
MUST_CHECK bool dataset_image(const struct dataset *d, size_t i, struct image *out, bool *owned, struct err *e);

#endif
