/* loader.h - batches of augmented crops, made ahead of the step that wants them.
 *
 * Threads of their own draw the views; the step only waits when they are slower than it is.  A view's content depends
 * on (seed, step, row) alone.  So any number of threads gives the same batches, and a resumed run goes on with the very
 * batch that comes next.
 *
 *     struct loader *l = loader_new(&options, e);
 *     const struct batch *b = loader_take(l, e);       step 0, 1, 2 ... from options.first_step
 *     ... b->pixels, b->groups ...
 *     loader_give_back(l, b);
 */
#ifndef ANCHORD_ENGINE_DATA_LOADER_H
#define ANCHORD_ENGINE_DATA_LOADER_H

#include "engine/data/crops.h"
#include "engine/data/dataset.h"
#include "engine/data/sampler.h"
#include "engine/objectives/objective.h"

struct loader_options { /* all borrowed as long as the loader lives */
    const struct manifest *manifest;
    const struct dataset *dataset;
    struct sampler *sampler;   /* used by the loader's threads alone from now on */
    size_t batch;              /* images; rows are crops_count() times as many */
    const struct crops *crops; /* settled */
    const struct preprocess *preprocess;
    enum positives positives; /* what makes two rows of the same group */
    uint64_t seed, first_step;
    size_t threads;
    size_t ahead; /* batches made in advance; 0: 3 */
};

struct batch {
    uint64_t step;
    float *pixels;   /* all first crops, then all second ones ... (crops.h) */
    int32_t *groups; /* [rows] */
    size_t *items;   /* [batch]: which item of the manifest they are crops of */
    size_t rows;
};

struct loader;

struct loader *loader_new(const struct loader_options *o, struct err *e); /* NULL on failure */
void loader_free(struct loader *l);                                       /* NULL is fine */
/* The next batch in order; waits for it.  NULL when a picture can no longer be read. */
const struct batch *loader_take(struct loader *l, struct err *e);
void loader_give_back(struct loader *l, const struct batch *b);

#endif
