/* layout.h - where buffers with known lifetimes lie in one block of memory, so that they share it.
 *
 * A span is needed from step `first` to step `last`, both included.  Two spans may overlap in memory only when they do
 * not overlap in time.  They are placed greedily, the largest first, each at the lowest offset that is free for its
 * lifetime.  Source: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020.
 */
#ifndef ANCHORD_ENGINE_KERNELS_LAYOUT_H
#define ANCHORD_ENGINE_KERNELS_LAYOUT_H

#include <stddef.h>

enum { LAYOUT_ALIGN = 64 };

struct span {
    size_t size, first, last; /* bytes, steps; size 0 takes no place */
    size_t offset;            /* filled in: a multiple of LAYOUT_ALIGN */
};

/* Gives the bytes that all spans need together. */
size_t layout_place(struct span *spans, size_t n);

#endif
