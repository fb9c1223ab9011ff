/* hashed_weights.h - models and pictures whose every number is a function of its name and index.
 *
 * tests/golden/make_resnet.py makes the same ones in PyTorch, so that golden files hold vectors and no weights.
 */
#ifndef ANCHORD_TESTS_LIB_HASHED_WEIGHTS_H
#define ANCHORD_TESTS_LIB_HASHED_WEIGHTS_H

#include "engine/model.h"

/* Random weights and random batch-norm statistics; preprocessing is ImageNet's scaled to this input size.  For
 * model_free(). */
struct model *hashed_model(const struct arch *a, uint32_t size);

/* The values of one weight, by its name. */
void hashed_weight(const struct weight *w);
/* The weight of that name; NULL when there is none. */
const struct weight *model_weight(const struct model *m, const char *name);

/* Picture `number`: coarse squares with fine noise, [size, size, 3] in -2.5..2.5.  The caller's to free. */
float *hashed_picture(unsigned number, size_t size);

#endif
