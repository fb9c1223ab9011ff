/* num.h - arithmetic that cannot silently go wrong, and small numeric helpers. */
#ifndef ANCHORD_BASE_NUM_H
#define ANCHORD_BASE_NUM_H

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define UNUSED(x)    ((void)(x))

/* The struct of a type that has what `p` points to as its member. */
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* Our own hot loops are compiled once for each of these processor levels and picked at load time.
 * Not under the sanitizers: the resolvers run before those are ready and crash. */
#if defined(__x86_64__) && !defined(ANCHORD_TSAN) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define HOT_LOOP __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define HOT_LOOP
#endif

/* a * b in *out; false when it does not fit. */
static inline bool mul_fits(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool add_fits(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Narrows to a library's int.  A size that does not fit is a bug of ours, not bad input. */
static inline int to_int(size_t n)
{
    assert(n <= INT_MAX);
    return (int)n;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
