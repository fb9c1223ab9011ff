/* dataset.c - decodes a manifest's files once, keeps what fits. */
#include "engine/data/dataset.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

struct sample {
    struct image image; /* empty: not kept */
    bool good;
};

struct dataset {
    struct manifest *manifest;
    struct dataset_options o;
    struct sample *samples; /* one for each item */
    size_t damaged;
    _Atomic size_t used; /* bytes of decoded pictures */
};

static bool decode(const struct dataset *d, size_t i, struct image *out, struct err *e)
{
    void *bytes;
    size_t len;
    if (!file_read(d->manifest->items[i].path, d->o.limits.bytes, &bytes, &len, e))
        return false;
    bool ok = image_decode(bytes, len, &d->o.limits, d->o.size, out, e);
    free(bytes);
    return ok;
}

static void check_item(size_t i, size_t slot, void *context)
{
    struct dataset *d = context;
    struct err e = {0};
    (void)slot;
    struct sample *s = &d->samples[i];
    if (!decode(d, i, &s->image, &e)) {
        char quoted[240];
        log_warn("dataset", "skipped=%s reason=\"%s\"", log_quote(d->manifest->items[i].path, quoted, sizeof quoted),
                 e.text);
        return;
    }
    s->good = true;
    size_t bytes = (size_t)s->image.width * s->image.height * 3;
    if (atomic_fetch_add(&d->used, bytes) + bytes > d->o.memory) {
        atomic_fetch_sub(&d->used, bytes);
        image_clear(&s->image);
    }
}

static void report(size_t done, size_t all, void *context)
{
    const struct dataset *d = context;
    if (d->o.progress)
        d->o.progress(done, all, d->o.context);
}

/* Takes the damaged items out of the manifest and of the samples. */
static void drop_damaged(struct dataset *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->manifest->n; i++) {
        if (!d->samples[i].good) {
            free(d->manifest->items[i].path);
            continue;
        }
        d->manifest->items[kept] = d->manifest->items[i];
        d->samples[kept++] = d->samples[i];
    }
    d->damaged = d->manifest->n - kept;
    d->manifest->n = kept;
}

struct dataset *dataset_open(struct manifest *m, const struct dataset_options *o, struct err *e)
{
    struct dataset *d = mem_new(1, sizeof *d);
    d->manifest = m;
    d->o = *o;
    if (!d->o.memory)
        d->o.memory = (size_t)2 << 30;
    d->samples = mem_new(m->n, sizeof *d->samples);
    pool_each(o->pool, m->n, check_item, report, d);
    drop_damaged(d);
    if (m->n)
        return d;
    err_set(e, ERR_UNDECODABLE, "none of the %zu files is a picture that can be decoded", d->damaged);
    dataset_close(d);
    return NULL;
}

void dataset_close(struct dataset *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->manifest->n; i++)
        image_clear(&d->samples[i].image);
    free(d->samples);
    free(d);
}

size_t dataset_damaged(const struct dataset *d)
{
    return d->damaged;
}

bool dataset_image(const struct dataset *d, size_t i, struct image *out, bool *owned, struct err *e)
{
    *owned = !d->samples[i].image.rgb;
    if (*owned)
        return decode(d, i, out, e);
    *out = d->samples[i].image;
    return true;
}
