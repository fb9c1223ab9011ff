/* code.h - a vector as one byte for each dimension, to find the way through a graph with.
 *
 * A search through a graph of 100,000 vectors of 512 looks at a thousand of them.  It waits for memory nearly all of
 * the time, so a quarter of the bytes makes it three times as fast.  The few that come out best are then compared by
 * their vectors, so that scores and order are exact.
 *
 * A row r is coded as round((r - centre) / scale).  Taking away the centre (the mean, about) matters: an
 * encoder that was hardly trained gives vectors that differ in the third decimal only.  Up to a constant, the
 * inner product of two rows is
 *
 *     <a, b> = a.scale * b.scale * <code a, code b> + a.bias + b.bias,   bias = <r - centre, centre>
 */
#ifndef ANCHORD_INDEX_VECTORS_CODE_H
#define ANCHORD_INDEX_VECTORS_CODE_H

#include <stddef.h>
#include <stdint.h>

struct code {
    float scale, bias;
};

/* row, centre [d]; out [d]. */
void code_make(const float *row, const float *centre, size_t d, int8_t *out, struct code *code);

/* <a, b>, exactly; d at most 65536. */
int32_t code_product(const int8_t *a, const int8_t *b, size_t d);

/* centre [d] = the mean of n rows, each [d]. */
void code_centre(const float *const *rows, size_t n, size_t d, float *centre);

#endif
