/* mem.c - allocation that aborts, allocation that fails politely, and the arena. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *p)
{
    if (!p) {
        fputs("anchord: out of memory\n", stderr);
        abort();
    }
    return p;
}

static size_t product(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        check(NULL);
    return bytes ? bytes : 1;
}

void *mem_new(size_t count, size_t size)
{
    return check(calloc(count ? count : 1, size ? size : 1));
}

void *mem_try(size_t count, size_t size, struct err *e)
{
    size_t bytes;
    void *p = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= PTRDIFF_MAX)
        p = calloc(1, bytes ? bytes : 1);
    if (!p)
        err_set(e, ERR_BUSY, "no memory for %zu x %zu bytes", count, size);
    return p;
}

void *mem_grow(void *p, size_t count, size_t size)
{
    return check(realloc(p, product(count, size)));
}

void *mem_aligned(size_t count, size_t size)
{
    size_t bytes = product(count, size);
    if (bytes > SIZE_MAX - 63)
        check(NULL);
    return check(aligned_alloc(64, (bytes + 63) / 64 * 64));
}

char *mem_text(const char *s)
{
    return s ? check(strdup(s)) : NULL;
}

void *mem_dup(const void *p, size_t size)
{
    void *copy = mem_new(1, size);
    if (size)
        memcpy(copy, p, size);
    return copy;
}

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

enum { ARENA_BLOCK = 16 * 1024 - sizeof(struct arena_block) };

void *arena_new(struct arena *a, size_t count, size_t size)
{
    size_t bytes = product(count, size);
    if (bytes > SIZE_MAX / 2)
        check(NULL);
    bytes = (bytes + 15) / 16 * 16;
    if (!a->top || a->top->size - a->top->used < bytes) {
        size_t room = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
        struct arena_block *b = check(malloc(sizeof *b + room));
        b->used = 0;
        b->size = room;
        b->next = a->top;
        a->top = b;
    }
    void *p = a->top->data + a->top->used;
    a->top->used += bytes;
    return memset(p, 0, bytes);
}

char *arena_text(struct arena *a, const char *s)
{
    if (!s)
        return NULL;
    size_t size = strlen(s) + 1;
    return memcpy(arena_new(a, size, 1), s, size);
}

char *arena_print(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return arena_text(a, "");
    char *s = arena_new(a, (size_t)n + 1, 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void arena_clear(struct arena *a)
{
    while (a->top) {
        struct arena_block *b = a->top;
        a->top = b->next;
        free(b);
    }
}
