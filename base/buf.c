/* buf.c - a growing run of bytes. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/quota.h"

enum { LARGE = 1 << 20 };

/* Twice as much at a time; where it is counted and large, a quarter more, which costs little, for the kernel moves pages
 * and not bytes. */
static size_t grown(const struct buf *b, size_t need)
{
    size_t room = b->room ? b->room : 64;
    while (room < need) {
        size_t more = b->meter && room >= LARGE ? room / 4 : room;
        room = room > SIZE_MAX - more ? need : room + more;
    }
    return room;
}

void buf_reserve(struct buf *b, size_t more)
{
    size_t need = b->len + more + 1;
    if (need <= b->room)
        return;
    size_t room = grown(b, need);
    if (b->meter && !meter_set(b->meter, room)) {
        b->len = 0;
        room = more + 1 > b->room ? more + 1 : b->room;
    }
    if (room > b->room)
        b->data = mem_grow(b->data, room, 1);
    b->room = room;
    b->data[b->len] = 0;
}

void buf_trim(struct buf *b)
{
    if (b->room <= b->len + 1)
        return;
    b->room = b->len + 1;
    b->data = mem_grow(b->data, b->room, 1);
    if (b->meter)
        meter_set(b->meter, b->room);
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
    buf_reserve(b, n);
    if (n)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
}

void buf_text(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_print(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n <= 0)
        return;
    buf_reserve(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void buf_clear(struct buf *b)
{
    struct meter *meter = b->meter;
    free(b->data);
    if (meter)
        meter_set(meter, 0);
    *b = (struct buf){.meter = meter};
}

char *buf_take(struct buf *b, size_t *len)
{
    struct meter *meter = b->meter;
    buf_reserve(b, 0);
    char *data = b->data;
    if (len)
        *len = b->len;
    if (meter)
        meter_set(meter, 0);
    *b = (struct buf){.meter = meter};
    return data;
}
