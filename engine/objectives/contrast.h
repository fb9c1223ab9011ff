/* contrast.h - the softmax-contrast kernel that the InfoNCE family shares.
 *
 * Row i is an anchor, column j a candidate, s the logits (similarity / temperature).  With P the softmax of
 * a row over its allowed columns and W a target distribution over its positives (rows sum to 1),
 *
 *     loss_i = logsumexp_allowed(s_i) - target_i,     d loss / d s_i = P_i - W_i
 *
 *     CONTRAST_OUT  W = 1/|positives|              target = mean of the positives' logits
 *                   (Khosla et al. 2020, L_out; one positive: InfoNCE, van den Oord et al. 2018)
 *     CONTRAST_IN   W = softmax over the positives  target = logsumexp_positives - log |positives|
 *                   (Khosla et al. 2020, L_in)
 *
 * or any W that the caller has, such as the codes of another view (SwAV, DINO) or a cluster (DeepCluster-v2).
 *
 * Anchors without a positive are skipped; losses are means over the others.  The row's maximum is
 * subtracted and nothing is added inside a logarithm, so temperatures of 0.001 stay exact.
 */
#ifndef ANCHORD_ENGINE_OBJECTIVES_CONTRAST_H
#define ANCHORD_ENGINE_OBJECTIVES_CONTRAST_H

#include <stddef.h>
#include <stdint.h>

enum contrast_target { CONTRAST_OUT, CONTRAST_IN };
enum contrast_column { CONTRAST_MASKED, CONTRAST_NEGATIVE, CONTRAST_POSITIVE };

/* The relation of column j to anchor i. */
typedef enum contrast_column contrast_kind(const void *context, size_t i, size_t j);

/* s [rows, cols] in: logits; out: d(mean loss)/d(logits).  Gives the mean loss; *anchors tells over how many (0: loss 0, gradient 0). */
double contrast(float *s, size_t rows, size_t cols, enum contrast_target target, contrast_kind *kind,
                const void *context, size_t *anchors);

/* s [rows, cols] in: logits; out: d(summed loss)/d(logits), with the targets w [rows, cols].  A row's weights may sum to anything: that is
 * how often the row counts, 0 leaves it out.  Gives the sum over the rows of -sum_j w_j log softmax(s)_j. */
double contrast_targets(float *s, const float *w, size_t rows, size_t cols);
/* s [rows, cols] becomes its softmax, row by row. */
void contrast_softmax(float *s, size_t rows, size_t cols);

#endif
