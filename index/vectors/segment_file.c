/* segment_file.c - a segment as bytes with a checksum, and back only when every byte is right. */
#include "index/vectors/segment_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"

struct header {
    char magic[8];
    uint32_t byte_order, M;
    int64_t generation;
    uint64_t d, n, n_links, n_members;
    int32_t entry;
    uint32_t unused;
};
_Static_assert(sizeof(struct header) == 64, "the header's size is part of the format");

static const char magic[8] = "anchGR2";
enum { BYTE_ORDER_MARK = 0x01020304, LEVELS_MAX = 64 };

/* The size of a whole file, false when it cannot be. */
static bool size_of(const struct header *h, size_t *out)
{
    size_t members, numbers;
    return mul_fits(h->n_members, sizeof(int64_t) + sizeof(uint64_t) + sizeof(int32_t), &members) &&
           add_fits(h->n, h->n_links, &numbers) && mul_fits(numbers, sizeof(int32_t), &numbers) &&
           add_fits(members, numbers, out) && add_fits(*out, sizeof *h + HASH_SIZE, out);
}

static void *put(void *at, const void *from, size_t n, size_t size)
{
    memcpy(at, from, n * size);
    return (char *)at + n * size;
}

bool segment_file_write(const struct segment_file *f, const char *path, struct err *e)
{
    const struct faiss_graph *g = &f->graph;
    struct header h = {.byte_order = BYTE_ORDER_MARK,
                       .M = (uint32_t)f->M,
                       .generation = f->generation,
                       .d = f->d,
                       .n = g->n,
                       .n_links = g->n_links,
                       .n_members = f->n_members,
                       .entry = g->entry};
    size_t size;
    memcpy(h.magic, magic, sizeof magic);
    if (!size_of(&h, &size))
        return err_set(e, ERR_TOO_LARGE, "a segment of %zu members", f->n_members);
    unsigned char *data = mem_try(size, 1, e);
    if (!data)
        return false;
    void *at = put(data, &h, 1, sizeof h);
    at = put(at, f->numbers, f->n_members, sizeof *f->numbers);
    at = put(at, f->digests, f->n_members, sizeof *f->digests);
    at = put(at, f->rows, f->n_members, sizeof *f->rows);
    at = put(at, g->levels, g->n, sizeof *g->levels);
    at = put(at, g->links, g->n_links, sizeof *g->links);
    hash_bytes(data, size - HASH_SIZE, at);
    bool ok = file_replace(path, data, size, e);
    free(data);
    return ok;
}

static bool damaged(struct err *e, const char *why)
{
    return err_set(e, ERR_CORRUPT, "not a segment: %s", why);
}

/* Levels and links must add up before anybody walks along them. */
static bool check_levels(const struct segment_file *f, struct err *e)
{
    size_t places = 0;
    for (size_t i = 0; i < f->graph.n; i++) {
        int32_t levels = f->graph.levels[i];
        if (levels < 1 || levels > LEVELS_MAX)
            return damaged(e, "a level is out of range");
        places += f->M * ((size_t)levels + 1);
    }
    return places == f->graph.n_links || damaged(e, "levels and links do not fit together");
}

static bool parse(struct segment_file *f, size_t len, struct err *e)
{
    struct header h;
    unsigned char sum[HASH_SIZE];
    const unsigned char *data = f->data;
    size_t size;
    if (len < sizeof h + HASH_SIZE)
        return damaged(e, "too short");
    memcpy(&h, data, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic) != 0 || h.byte_order != BYTE_ORDER_MARK)
        return damaged(e, "another kind of file");
    if (!size_of(&h, &size) || size != len)
        return damaged(e, "its length is not what the header says");
    hash_bytes(data, len - HASH_SIZE, sum);
    if (memcmp(sum, data + len - HASH_SIZE, sizeof sum) != 0)
        return damaged(e, "the checksum is wrong");
    f->generation = h.generation;
    f->d = h.d;
    f->M = h.M;
    f->n_members = h.n_members;
    f->numbers = (const void *)(data + sizeof h);
    f->digests = (const void *)(f->numbers + h.n_members);
    f->rows = (const void *)(f->digests + h.n_members);
    f->graph.n = h.n;
    f->graph.n_links = h.n_links;
    f->graph.entry = h.entry;
    f->graph.levels = f->rows + h.n_members;
    f->graph.links = f->graph.levels + h.n;
    return check_levels(f, e);
}

bool segment_file_read(const char *path, struct segment_file *out, struct err *e)
{
    size_t len;
    *out = (struct segment_file){0};
    if (!file_read(path, SIZE_MAX / 2, &out->data, &len, e))
        return false;
    if (parse(out, len, e))
        return true;
    segment_file_clear(out);
    return err_wrap(e, "reading %s", path);
}

void segment_file_clear(struct segment_file *f)
{
    free(f->data);
    *f = (struct segment_file){0};
}
