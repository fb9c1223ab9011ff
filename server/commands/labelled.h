/* labelled.h - a folder of folders whose pictures are embedded, for the commands that judge an encoder. */
#ifndef ANCHORD_SERVER_COMMANDS_LABELLED_H
#define ANCHORD_SERVER_COMMANDS_LABELLED_H

#include "base/conf.h"
#include "engine/judging/evaluate.h"

struct labelled { /* must not move: the data set borrows the manifest */
    struct manifest manifest;
    struct dataset *dataset;
    size_t *items;   /* of the manifest, [n]; owned */
    float *x;        /* [n, dimensions]; owned */
    int32_t *labels; /* [n]; owned */
    size_t n;
};

/* A picture that lies beside the sub-folders has no label and is left out.  To be cleared in either case. */
MUST_CHECK bool labelled_open(struct labelled *l, const char *dir, const struct conf *conf, struct encoder *enc,
                              struct pool *pool, struct err *e);
void labelled_clear(struct labelled *l);
/* Both have the same labels, so their numbers mean the same; a_name and b_name are for the refusal. */
MUST_CHECK bool labelled_agree(const struct labelled *a, const char *a_name, const struct labelled *b,
                               const char *b_name, struct err *e);

#endif
