/* pieces.h - the values of one key cut into pieces, within which every value meets the same conditions.
 *
 * The conditions on the key name the values v0, v1, ..., ascending.  Piece 2i is what lies between v(i-1) and v(i), piece
 * 2i + 1 is v(i) itself, and the last piece is all above.
 */
#ifndef ANCHORD_INDEX_CATALOG_PIECES_H
#define ANCHORD_INDEX_CATALOG_PIECES_H

#include "index/values/filter_tree.h"

struct pieces {
    struct scalar *at; /* [n] */
    size_t n;
    uint64_t *met; /* [2n + 1]: the bits of the conditions that a piece meets */
};

/* Of one kind of values, for those conditions of `f` whose bits are in `leaves`. */
void pieces_make(struct pieces *d, const struct filter *f, uint64_t leaves, enum scalar_kind kind);
void pieces_clear(struct pieces *d);

#endif
