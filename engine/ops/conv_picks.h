/* conv_picks.h - which implementation computes each pass of each convolution: measured once, or told.
 *
 * As text, with null for passes that are not run:
 *
 *     {"convolutions": [{"name": "conv1.weight", "forward": "direct", "back_data": null, "back_weights": "patches"}]}
 *
 * A network with several passes has its list that many times.  With the same picks, threads and precision a run repeats
 * bit for bit.
 */
#ifndef ANCHORD_ENGINE_OPS_CONV_PICKS_H
#define ANCHORD_ENGINE_OPS_CONV_PICKS_H

#include "base/buf.h"
#include "base/json.h"
#include "engine/kernels/backend.h"
#include "engine/kernels/train_conv.h"

struct conv_pick {    /* one convolution */
    const char *name; /* of its weights; borrowed */
    struct conv_spec spec;
    bool wanted[CONV_PASSES];
    struct train_operands trial;                     /* what measuring runs on, and overwrites; borrowed */
    const struct train_kernel *kernels[CONV_PASSES]; /* NULL where a pass is not wanted */
    struct train_conv *jobs[CONV_PASSES];
};

/* The fastest kernels of this backend (BLAS or DNNL).  A shape that came before keeps its pick. */
MUST_CHECK bool conv_picks_measure(struct conv_pick *picks, size_t n, enum backend backend, struct err *e);
/* The kernels that `text` names (the first n of a multiple).  ERR_CONFLICT when one of them cannot be had here.
 * ERR_BAD_INPUT when the text is not about these convolutions; e->param is "picks". */
MUST_CHECK bool conv_picks_read(struct conv_pick *picks, size_t n, enum backend backend, const char *text,
                                struct err *e);
void conv_picks_write(const struct conv_pick *picks, size_t n, struct buf *out);

/* Opens the jobs; *scratch: the bytes that the greediest wants. */
MUST_CHECK bool conv_picks_open(struct conv_pick *picks, size_t n, size_t *scratch, struct err *e);
void conv_picks_close(struct conv_pick *picks, size_t n);

#endif
