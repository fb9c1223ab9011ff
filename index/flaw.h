/* flaw.h - what is wrong with stored files: which of them are damaged or missing, and whose they are. */
#ifndef ANCHORD_INDEX_FLAW_H
#define ANCHORD_INDEX_FLAW_H

#include "index/catalog/catalog.h"

enum { FLAWS_MAX = 1000 }; /* that are kept; all are counted */

/* Keeps one more if there is room. */
void flaws_add(struct flaws *f, const struct flaw *one);
/* One file that is not whole, for each of the images that name it; `why` is blobs_check()'s error. */
MUST_CHECK bool flaws_add_file(struct flaws *f, struct session *s, const char *sha256, const struct err *why,
                               struct err *e);
/* One model whose file is not. */
void flaws_add_model(struct flaws *f, const char *id, const struct err *why);

#endif
