/* safetensors.c - reads safetensors files with every claim of their header checked. */
#include "engine/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/tensor.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian, and so are we");

enum { LENGTH_BYTES = 8, CHUNK = 64 * 1024, SIDE_MAX = 0x7fffffff };

static const struct {
    const char *name;
    size_t bytes;
} types[] = {[TENSOR_F32] = {"F32", 4},
             [TENSOR_F16] = {"F16", 2},
             [TENSOR_BF16] = {"BF16", 2},
             [TENSOR_F64] = {"F64", 8},
             [TENSOR_I64] = {"I64", 8}};

struct safetensors {
    int fd;                     /* -1 when the bytes are in memory */
    const unsigned char *bytes; /* borrowed; NULL when there is a file */
    size_t len;                 /* of the whole file */
    size_t data;                /* where the data begins */
    struct json *header;        /* owned; names are borrowed from it */
    struct safetensor *tensors; /* owned; sorted by name */
    size_t n;
};

static bool read_at(const struct safetensors *s, size_t offset, void *out, size_t len, struct err *e)
{
    if (s->bytes) {
        memcpy(out, s->bytes + offset, len);
        return true;
    }
    return file_read_at(s->fd, offset, out, len, e);
}

/* ---- the header ---- */

/* "tensor \"conv1.weight\"", for error texts; the name is the file's and may hold anything. */
struct who {
    char text[80];
};

static struct who who(const char *name)
{
    struct who w = {"tensor "};
    log_quote(name, w.text + strlen(w.text), sizeof w.text - strlen(w.text));
    return w;
}

static bool parse_type(const struct json *entry, struct safetensor *t, struct err *e)
{
    const char *text = json_as_text(json_member(entry, "dtype"), NULL);
    for (size_t i = 0; text && i < COUNT(types); i++) {
        if (strcmp(text, types[i].name) != 0)
            continue;
        t->type = (enum tensor_type)i;
        return true;
    }
    return err_set(e, ERR_BAD_INPUT, "%s: the type must be F32, F16, BF16, F64 or I64", who(t->name).text);
}

static bool parse_shape(const struct json *entry, struct safetensor *t, struct err *e)
{
    const struct json *shape = json_member(entry, "shape");
    if (json_kind(shape) != JSON_KIND_LIST || json_count(shape) > SAFETENSORS_RANK_MAX)
        return err_set(e, ERR_BAD_INPUT, "%s: the shape must be a list of at most %d sizes", who(t->name).text,
                       SAFETENSORS_RANK_MAX);
    t->rank = (uint32_t)json_count(shape);
    t->count = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        int64_t side;
        if (!json_as_int(json_item(shape, i), &side) || side < 1 || side > SIDE_MAX)
            return err_set(e, ERR_BAD_INPUT, "%s: each size must be from 1 to %d", who(t->name).text, SIDE_MAX);
        t->shape[i] = (uint32_t)side;
        if (!mul_fits(t->count, (size_t)side, &t->count))
            return err_set(e, ERR_BAD_INPUT, "%s: the shape overflows", who(t->name).text);
    }
    if (!mul_fits(t->count, types[t->type].bytes, &t->bytes))
        return err_set(e, ERR_BAD_INPUT, "%s: the shape overflows", who(t->name).text);
    return true;
}

static bool parse_offsets(const struct json *entry, size_t data_len, struct safetensor *t, struct err *e)
{
    const struct json *range = json_member(entry, "data_offsets");
    int64_t begin, end;
    if (json_kind(range) != JSON_KIND_LIST || json_count(range) != 2 || !json_as_int(json_item(range, 0), &begin) ||
        !json_as_int(json_item(range, 1), &end) || begin < 0 || end < begin)
        return err_set(e, ERR_BAD_INPUT, "%s: data_offsets must be [begin, end]", who(t->name).text);
    if ((uint64_t)end > data_len)
        return err_set(e, ERR_BAD_INPUT, "%s: its data ends at %lld, the file's at %zu", who(t->name).text,
                       (long long)end, data_len);
    if ((uint64_t)(end - begin) != t->bytes)
        return err_set(e, ERR_BAD_INPUT, "%s: its shape needs %zu bytes, data_offsets give %lld", who(t->name).text,
                       t->bytes, (long long)(end - begin));
    t->offset = (size_t)begin;
    return true;
}

static bool parse_entry(const char *name, const struct json *entry, size_t data_len, struct safetensor *t,
                        struct err *e)
{
    static const char *const known[] = {"dtype", "shape", "data_offsets"};
    t->name = name;
    if (json_kind(entry) != JSON_KIND_OBJECT)
        return err_set(e, ERR_BAD_INPUT, "%s: its entry must be an object", who(name).text);
    return (json_only(entry, "", known, COUNT(known), e) || err_unfield(e) || err_wrap(e, "%s", who(name).text)) &&
           parse_type(entry, t, e) && parse_shape(entry, t, e) && parse_offsets(entry, data_len, t, e);
}

static bool check_metadata(const struct json *metadata, struct err *e)
{
    const char *key;
    const struct json *value;
    if (json_kind(metadata) != JSON_KIND_OBJECT)
        return err_set(e, ERR_BAD_INPUT, "__metadata__ must be an object");
    for (void *it = NULL; (it = json_next(metadata, it, &key, &value));)
        if (json_kind(value) != JSON_KIND_TEXT)
            return err_set(e, ERR_BAD_INPUT, "__metadata__ must hold texts only");
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int by_name(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* The tensors must lie one after the other and use the data up. */
static bool check_cover(struct safetensors *s, struct err *e)
{
    size_t at = 0, data_len = s->len - s->data;
    qsort(s->tensors, s->n, sizeof *s->tensors, by_offset);
    for (size_t i = 0; i < s->n; i++) {
        const struct safetensor *t = &s->tensors[i];
        if (t->offset != at)
            return err_set(e, ERR_BAD_INPUT, "%s %s", who(t->name).text,
                           t->offset < at ? "overlaps the one before it" : "leaves a gap before it");
        at += t->bytes; /* cannot overflow: offset + bytes <= data_len */
    }
    if (at != data_len)
        return err_set(e, ERR_BAD_INPUT, "%zu bytes of data belong to no tensor", data_len - at);
    return true;
}

static bool parse_header(struct safetensors *s, const char *text, size_t len, struct err *e)
{
    const char *name;
    const struct json *entry;

    s->header = json_parse(text, len, 0, e);
    if (!s->header)
        return err_wrap(e, "the header");
    if (json_kind(s->header) != JSON_KIND_OBJECT)
        return err_set(e, ERR_BAD_INPUT, "the header must be an object");
    s->tensors = mem_new(json_count(s->header), sizeof *s->tensors);
    for (void *it = NULL; (it = json_next(s->header, it, &name, &entry));) {
        bool ok = strcmp(name, "__metadata__") == 0
                      ? check_metadata(entry, e)
                      : parse_entry(name, entry, s->len - s->data, &s->tensors[s->n++], e);
        if (!ok)
            return false;
    }
    if (!check_cover(s, e))
        return false;
    qsort(s->tensors, s->n, sizeof *s->tensors, by_name);
    return true;
}

static bool read_header(struct safetensors *s, struct err *e)
{
    uint64_t len;
    char *text = NULL;
    bool ok = false;

    if (s->len < LENGTH_BYTES)
        return err_set(e, ERR_BAD_INPUT, "%zu bytes are too few for a model", s->len);
    if (!read_at(s, 0, &len, sizeof len, e))
        return false;
    if (len > SAFETENSORS_HEADER_MAX || len > s->len - LENGTH_BYTES)
        return err_set(e, ERR_BAD_INPUT, "not a safetensors file, or one with a header over %d bytes",
                       SAFETENSORS_HEADER_MAX);
    s->data = LENGTH_BYTES + (size_t)len;
    text = mem_new((size_t)len + 1, 1);
    ok = read_at(s, LENGTH_BYTES, text, (size_t)len, e) && parse_header(s, text, (size_t)len, e);
    free(text);
    return ok;
}

/* ---- opening ---- */

struct safetensors *safetensors_over(const void *bytes, size_t len, struct err *e)
{
    struct safetensors *s = mem_new(1, sizeof *s);
    s->fd = -1;
    s->bytes = bytes;
    s->len = len;
    if (!read_header(s, e)) {
        safetensors_close(s);
        return NULL;
    }
    return s;
}

static bool open_file(struct safetensors *s, const char *path, struct err *e)
{
    struct stat st;
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    if (s->fd < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "no such file");
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return err_sys(e, "open");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "not a regular file");
    s->len = (size_t)st.st_size;
    return read_header(s, e);
}

struct safetensors *safetensors_open(const char *path, struct err *e)
{
    struct safetensors *s = mem_new(1, sizeof *s);
    if (!open_file(s, path, e)) {
        err_wrap(e, "reading %s", path);
        safetensors_close(s);
        return NULL;
    }
    return s;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    json_free(s->header);
    free(s->tensors);
    free(s);
}

/* ---- what is inside ---- */

const struct safetensor *safetensors_list(const struct safetensors *s, size_t *n)
{
    *n = s->n;
    return s->tensors;
}

const struct safetensor *safetensors_find(const struct safetensors *s, const char *name)
{
    struct safetensor key = {.name = name};
    return s->n ? bsearch(&key, s->tensors, s->n, sizeof *s->tensors, by_name) : NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key, size_t *len)
{
    return json_as_text(json_member(json_member(s->header, "__metadata__"), key), len);
}

/* ---- values ---- */

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE 754 half precision: 1 sign, 5 exponent and 10 fraction bits. */
static float from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent > 0)
        return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float small = (float)fraction * 0x1p-24f; /* subnormal or zero */
    return sign ? -small : small;
}

static void to_floats(enum tensor_type type, const unsigned char *in, size_t n, float *out)
{
    uint16_t half;
    double wide;
    for (size_t i = 0; i < n; i++) {
        if (type == TENSOR_F64) {
            memcpy(&wide, in + i * 8, sizeof wide);
            out[i] = (float)wide;
        } else {
            memcpy(&half, in + i * 2, sizeof half);
            out[i] = type == TENSOR_F16 ? from_half(half) : from_bits((uint32_t)half << 16);
        }
    }
}

bool safetensors_read(const struct safetensors *s, const struct safetensor *t, float *out, struct err *e)
{
    unsigned char *chunk = NULL;
    size_t size = types[t->type].bytes, at = s->data + t->offset;
    bool ok = true;

    if (t->type == TENSOR_I64)
        return err_set(e, ERR_BAD_INPUT, "%s must hold floating point numbers", who(t->name).text);
    if (t->type == TENSOR_F32)
        return read_at(s, at, out, t->bytes, e);
    chunk = mem_new(CHUNK, 1);
    for (size_t done = 0; ok && done < t->count;) {
        size_t n = min_size(t->count - done, CHUNK / size);
        ok = read_at(s, at + done * size, chunk, n * size, e);
        if (ok)
            to_floats(t->type, chunk, n, out + done);
        done += n;
    }
    free(chunk);
    return ok;
}

/* ---- writing ---- */

static size_t bytes_of(const struct safetensor_out *t)
{
    return t->count * types[t->bf16 ? TENSOR_BF16 : TENSOR_F32].bytes;
}

/* The tensor's bytes as they are written; *own is to be freed. */
static struct file_piece piece_of(const struct safetensor_out *t, void **own)
{
    *own = NULL;
    if (!t->bf16)
        return (struct file_piece){t->data, bytes_of(t)};
    uint16_t *rounded = *own = mem_new(t->count, sizeof *rounded);
    for (size_t i = 0; i < t->count; i++)
        rounded[i] = bf16_from_float(t->data[i]);
    return (struct file_piece){rounded, bytes_of(t)};
}

static void write_header(const struct safetensor_out *tensors, size_t n, const char *key, const char *metadata,
                         struct buf *out)
{
    struct json_writer w = jw_to(out);
    size_t at = 0;

    jw_object(&w, NULL);
    if (metadata) {
        jw_object(&w, "__metadata__");
        jw_text(&w, key, metadata);
        jw_end(&w);
    }
    for (size_t i = 0; i < n; i++) {
        size_t end = at + bytes_of(&tensors[i]);
        jw_object(&w, tensors[i].name);
        jw_text(&w, "dtype", types[tensors[i].bf16 ? TENSOR_BF16 : TENSOR_F32].name);
        jw_array(&w, "shape");
        for (uint32_t d = 0; d < tensors[i].rank; d++)
            jw_int(&w, NULL, tensors[i].shape[d]);
        jw_end(&w);
        jw_array(&w, "data_offsets");
        jw_int(&w, NULL, (int64_t)at);
        jw_int(&w, NULL, (int64_t)end);
        jw_end(&w);
        jw_end(&w);
        at = end;
    }
    jw_end(&w);
    while (out->len % 8 != 0) /* so that the data are aligned for those who map the file */
        buf_char(out, ' ');
}

bool safetensors_write(const char *path, const struct safetensor_out *tensors, size_t n, const char *key,
                       const char *metadata, struct err *e)
{
    struct buf header = {0};
    struct file_piece *pieces = mem_new(n + 2, sizeof *pieces);
    void **own = mem_new(n + 1, sizeof *own);
    bool ok = false;

    write_header(tensors, n, key, metadata, &header);
    if (header.len > SAFETENSORS_HEADER_MAX) {
        err_set(e, ERR_TOO_LARGE, "writing %s: a header of %zu bytes, the limit is %d", path, header.len,
                SAFETENSORS_HEADER_MAX);
        goto done;
    }
    uint64_t len = header.len;
    pieces[0] = (struct file_piece){&len, sizeof len};
    pieces[1] = (struct file_piece){header.data, header.len};
    for (size_t i = 0; i < n; i++)
        pieces[i + 2] = piece_of(&tensors[i], &own[i]);
    ok = file_replace_pieces(path, pieces, n + 2, e);
done:
    for (size_t i = 0; i < n; i++)
        free(own[i]);
    free(own);
    free(pieces);
    buf_clear(&header);
    return ok;
}
