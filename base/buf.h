/* buf.h - a growing run of bytes, always followed by a zero byte so that it can be read as text.
 *
 *     struct buf b = {0};
 *     buf_print(&b, "%d images", n);
 *     puts(b.data);
 *     buf_clear(&b);
 */
#ifndef ANCHORD_BASE_BUF_H
#define ANCHORD_BASE_BUF_H

#include <stddef.h>

#include "base/err.h"

struct meter;
struct buf {
    char *data; /* NULL while empty; owned */
    size_t len, room;
    struct meter *meter; /* its room is charged here (quota.h); borrowed.  NULL: nowhere */
};

/* Room for `more` bytes and the zero; aborts on OOM.  Where a meter refuses, the bytes so far are dropped and the room
 * is used again.  So a writer need not look; a reader asks meter->refused first. */
void buf_reserve(struct buf *b, size_t more);
/* Gives back the room that is not used. */
void buf_trim(struct buf *b);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_text(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_print(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_clear(struct buf *b); /* frees; empty again, with the same meter */
/* The caller owns the bytes, which no meter counts any more; never NULL; b is empty again. */
char *buf_take(struct buf *b, size_t *len);

#endif
