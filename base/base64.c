/* base64.c - base64 by nettle. */
#include "base/base64.h"

#include <nettle/base64.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

void base64_encode(const void *data, size_t len, struct buf *out)
{
    size_t size = BASE64_ENCODE_RAW_LENGTH(len);
    buf_reserve(out, size);
    base64_encode_raw(out->data + out->len, len, data);
    out->len += size;
    out->data[out->len] = 0;
}

bool base64_decode(const char *text, size_t len, void **out, size_t *out_len, struct err *e)
{
    struct base64_decode_ctx ctx;
    size_t n = BASE64_DECODE_LENGTH(len);
    uint8_t *data = mem_try(n + 1, 1, e);
    if (!data)
        return false;
    base64_decode_init(&ctx);
    if (!base64_decode_update(&ctx, &n, data, len, text) || !base64_decode_final(&ctx)) {
        free(data);
        return err_set(e, ERR_BAD_INPUT, "not valid base64");
    }
    *out = data;
    *out_len = n;
    return true;
}
