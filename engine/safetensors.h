/* safetensors.h - reading and writing the safetensors container.
 *
 *     8 bytes   length of the header, little-endian
 *     header    JSON: {"__metadata__": {text: text}, "<tensor>": {"dtype", "shape", "data_offsets"}, ...}
 *     data      the tensors' bytes, little-endian, row-major; data_offsets count from here
 *
 * A file is hostile until proven otherwise.  Opening refuses a header over 1 MB or longer than the file, duplicate keys
 * and unknown types.  It refuses dimensions of 0 or over 2^31, sizes that overflow, and offsets that are not the size
 * of their tensor.  It refuses tensors that overlap, leave a gap or do not cover the data exactly.  No tensor is read
 * before all of that holds, and then straight into its destination: no second copy of the file.
 *
 *     struct safetensors *s = safetensors_open(path, e);
 *     const struct safetensor *t = s ? safetensors_find(s, "conv1.weight") : NULL;
 *     if (t && safetensors_read(s, t, floats, e)) ...
 *     safetensors_close(s);
 *
 * Errors: ERR_BAD_INPUT for everything that is wrong inside, ERR_NOT_FOUND and ERR_IO for the file itself.
 * Threads: an open file may be read by many threads; it never changes.
 */
#ifndef ANCHORD_ENGINE_SAFETENSORS_H
#define ANCHORD_ENGINE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SAFETENSORS_HEADER_MAX = 1024 * 1024, SAFETENSORS_RANK_MAX = 8 };

enum tensor_type { TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_F64, TENSOR_I64 };

struct safetensor { /* one entry of the header, borrowed from the open file */
    const char *name;
    enum tensor_type type;
    uint32_t rank, shape[SAFETENSORS_RANK_MAX];
    size_t count;         /* product of the shape; 1 for a scalar */
    size_t offset, bytes; /* in the data */
};

struct safetensors;

/* Opens a regular file (a symbolic link is followed).  NULL on failure. */
struct safetensors *safetensors_open(const char *path, struct err *e);
/* The same over bytes in memory, which are borrowed until safetensors_close(). */
struct safetensors *safetensors_over(const void *bytes, size_t len, struct err *e);
void safetensors_close(struct safetensors *s); /* NULL is fine */

/* All tensors, sorted by name. */
const struct safetensor *safetensors_list(const struct safetensors *s, size_t *n);
const struct safetensor *safetensors_find(const struct safetensors *s, const char *name); /* NULL: none */
/* __metadata__[key]; NULL when there is none. */
const char *safetensors_metadata(const struct safetensors *s, const char *key, size_t *len);

/* Fills out [t->count] with fp32 values, converted where the file holds F16, BF16 or F64. */
MUST_CHECK bool safetensors_read(const struct safetensors *s, const struct safetensor *t, float *out, struct err *e);

struct safetensor_out { /* one tensor to write; borrowed */
    const char *name;
    uint32_t rank;
    const uint32_t *shape;
    const float *data;
    size_t count;
    bool bf16; /* written in half the size, rounded to the nearest */
};

/* Writes durably (file_replace's rules) and without copying the tensors that stay fp32; `metadata` is one entry of
 * __metadata__ named `key`, either NULL for none.  ERR_TOO_LARGE when the header would pass its limit. */
MUST_CHECK bool safetensors_write(const char *path, const struct safetensor_out *tensors, size_t n, const char *key,
                                  const char *metadata, struct err *e);

#endif
