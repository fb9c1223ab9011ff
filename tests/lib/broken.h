/* broken.h - requests with broken framing, each with a second request right behind it, in as many variations as wanted.
 *
 *     for (size_t k = 0; k < broken_kinds(); k++)
 *         for (size_t i = 0; i < 200; i++) {
 *             size_t good = broken_make(k, i, &target, &bytes);   then `good` answers 200 are due, one 400, and the end
 *             ...
 *             buf_clear(&bytes);
 *         }
 *
 * A variation picks the form of the fault and its place among other headers.  It also picks upper and lower case,
 * blanks, and the number of good requests in front.  The same numbers give the same bytes.
 */
#ifndef ANCHORD_TESTS_LIB_BROKEN_H
#define ANCHORD_TESTS_LIB_BROKEN_H

#include "base/buf.h"
#include "base/rng.h"

struct broken_target {
    const char *get, *post; /* paths that answer 200; `post` to the body {} */
    const char *type;       /* header lines that `post` wants; "" for none */
    const char *second;     /* the request behind, whole */
};

size_t broken_kinds(void);
const char *broken_name(size_t kind);
/* Appends to *out. */
size_t broken_make(size_t kind, size_t variation, const struct broken_target *t, struct buf *out);
/* How a sender may split `left` bytes: all at once, byte by byte, or at random, by the variation. */
size_t broken_part(size_t variation, struct rng *rng, size_t left);

#endif
