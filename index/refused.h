/* refused.h - keys that are revoked although the disk cannot note it: refused until the program ends.
 *
 * Any thread.
 */
#ifndef ANCHORD_INDEX_REFUSED_H
#define ANCHORD_INDEX_REFUSED_H

#include "index/values/rows.h"

struct refused;

struct refused *refused_new(void);
void refused_free(struct refused *r); /* NULL is fine */
void refused_add(struct refused *r, const char *id);
/* Takes those keys out of a list; gives its new length. */
size_t refused_filter(struct refused *r, struct key_row *rows, size_t n);

#endif
