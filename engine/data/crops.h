/* crops.h - what a step sees of each picture: groups of random crops, each group at a size of its own.
 *
 * Multi-crop (Caron et al. 2020, arXiv:2006.09882, section 3.2): a few full crops, of which the objective makes its targets, and
 * more small ones that only predict them.  The first group are the full crops.  Without multi-crop there is one group, whose crops
 * are the views.
 *
 * Row r of a batch is crop r / batch of picture r % batch, counted through all groups.  In memory they lie one crop behind the other:
 *
 *     all first crops, all second ones, ... each [batch, size, size, 3] at the size of its group
 */
#ifndef ANCHORD_ENGINE_DATA_CROPS_H
#define ANCHORD_ENGINE_DATA_CROPS_H

#include "engine/pictures/augment.h"

enum {
    CROP_GROUPS_MAX = 4,
    CROPS_MAX = 32 /* of one picture, in all groups */,
    CROP_SIDE_MIN = 16,
    CROP_SIDE_MAX = 1024
};

struct crop_group {
    size_t count;                   /* crops of each picture */
    uint32_t size;                  /* side, in pixels; 0: crops_settle() says it */
    struct augmentation augment[2]; /* of every other crop, beginning with the first: the two views of a recipe */
};

struct crops {
    struct crop_group groups[CROP_GROUPS_MAX];
    size_t n;
};

size_t crops_count(const struct crops *c); /* of each picture, in all groups */
/* The sizes that nobody said: `size` for the full crops, three sevenths of theirs (96 of 224, as in the paper) for others. */
void crops_settle(struct crops *c, uint32_t size);

struct crop {             /* one row of a batch */
    size_t group, number; /* number: in its group */
    size_t at;            /* its first value in the batch's pixels; of size x size x 3 */
};
/* Row crops_count() * batch is what would follow: its `at` are the values of the whole batch. */
struct crop crops_row(const struct crops *c, size_t batch, size_t row);

#endif
