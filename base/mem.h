/* mem.h - memory: sizes we choose abort when refused, sizes a client chooses fail politely.
 *
 *     mem_new(n, size)   zeroed; aborts when there is no memory (sizes that the code chooses)
 *     mem_try(n, size)   zeroed; NULL with an error on overflow or refusal (sizes a client influences)
 *     mem_aligned(...)   for tensors: 64-byte aligned, not zeroed; released with free() like the others
 *
 * An arena hands out memory that lives until the arena is cleared: one for each request.
 */
#ifndef ANCHORD_BASE_MEM_H
#define ANCHORD_BASE_MEM_H

#include <stddef.h>

#include "base/err.h"

MUST_CHECK void *mem_new(size_t count, size_t size);
MUST_CHECK void *mem_try(size_t count, size_t size, struct err *e);
MUST_CHECK void *mem_grow(void *p, size_t count, size_t size); /* realloc; aborts; new part not zeroed */
MUST_CHECK void *mem_aligned(size_t count, size_t size);       /* aborts; multiple of 64 bytes */
MUST_CHECK char *mem_text(const char *s);                      /* strdup; NULL gives NULL; aborts */
MUST_CHECK void *mem_dup(const void *p, size_t size);

struct arena_block;
struct arena { /* zero-initialised is empty and ready */
    struct arena_block *top;
};
void *arena_new(struct arena *a, size_t count, size_t size); /* zeroed, 16-byte aligned; aborts */
char *arena_text(struct arena *a, const char *s);            /* NULL gives NULL */
char *arena_print(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void arena_clear(struct arena *a); /* frees all; the arena is empty and usable again */

#endif
