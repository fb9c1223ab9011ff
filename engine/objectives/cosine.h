/* cosine.h - predict the other view's direction: what BYOL and SimSiam share.
 *
 * cos(p, t) with p = the online branch's row and t the target's of the other view; no gradient to t.
 */
#ifndef ANCHORD_ENGINE_OBJECTIVES_COSINE_H
#define ANCHORD_ENGINE_OBJECTIVES_COSINE_H

#include <stddef.h>

#include "engine/objectives/objective.h"

size_t cosine_workspace(size_t n, size_t d); /* floats */
/* Gives the mean over the rows of cos(z_i, target of its other view); grad [n, d]: its gradient times `slope`. */
double cosine_to_other_view(const struct loss_batch *b, double slope, float *work, float *grad);

#endif
