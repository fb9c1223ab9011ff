/* train_stages.h - one configuration, several runs: each goes on with what the one before it learned.
 *
 *     {"data": "pictures", "out": "runs/base", "arch": {"size": 64}, ...,
 *      "stages": [{"arch": {"size": 32}, "epochs": 10}, {"size": 64, "epochs": 2, "optimizer": {"learning_rate": 0.0004}}]}
 *
 * A stage is a patch (RFC 7396) of the rest of the configuration.  It runs in OUT/1, OUT/2, ...; from the second on it begins with the
 * last model of the one before, and has no `arch`.  Small pictures first and large ones at the end is what this is for; see also Touvron
 * et al. 2019, "Fixing the train-test resolution discrepancy" (arXiv:1906.06423).
 */
#ifndef ANCHORD_SERVER_COMMANDS_TRAIN_STAGES_H
#define ANCHORD_SERVER_COMMANDS_TRAIN_STAGES_H

#include <stddef.h>

#include "base/err.h"

enum { STAGES_MAX = 16 };

struct train_stages {
    char *texts[STAGES_MAX]; /* whole configurations; owned */
    size_t n;
};

/* A configuration without `stages` is one, as it is.  ERR_BAD_INPUT with the field's name. */
MUST_CHECK bool train_stages_read(struct train_stages *s, const char *text, size_t len, struct err *e);
void train_stages_clear(struct train_stages *s);

#endif
