/* model_parts.h - what the files of the model share with each other and nobody else.
 *
 *     model.c         makes, seals and frees models
 *     model_read.c    reads them from files
 *     model_write.c   writes them to files
 *     model_meta.c    turns all but the weights into the JSON text of __metadata__["anchord"] and back
 */
#ifndef ANCHORD_ENGINE_MODEL_PARTS_H
#define ANCHORD_ENGINE_MODEL_PARTS_H

#include "base/buf.h"
#include "engine/model.h"

#define MODEL_METADATA_KEY "anchord"
enum { ANY_SIZE = 224 }; /* of pictures: weights do not depend on it */

/* A model of checked arch `a` with room for its weights, their values still zero.  NULL: no memory. */
struct model *model_new_empty(const struct arch *a, struct err *e);

void model_drop_goldens(struct model *m);

/* Appends the JSON text. */
void model_meta_write(const struct model *m, struct buf *out);
/* First arch and preprocessing ... */
MUST_CHECK bool model_meta_arch(const char *text, size_t len, struct arch *a, struct preprocess *p, struct err *e);
/* ... then, for the model of that arch, all the rest; m->fingerprint becomes the one that the file claims. */
MUST_CHECK bool model_meta_rest(const char *text, size_t len, struct model *m, struct err *e);

#endif
