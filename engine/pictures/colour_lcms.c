/* colour_lcms.c - conversions by little-cms, and the few that are kept. */
#include "engine/pictures/colour.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <lcms2.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"

enum { KEPT = 16, TOLERANCE = 1, STEPS = 9 };

struct colour_conversion {
    atomic_size_t references;
    enum colour_model model;
    unsigned channels;
    cmsContext context;
    cmsHTRANSFORM transform;
    uint8_t grey[256][3]; /* what each grey becomes */
};

static struct kept { /* what is known of a profile */
    unsigned char digest[HASH_SIZE];
    struct colour_conversion *colour; /* NULL: nothing is to be done */
    uint64_t used;                    /* when; 0: free */
} kept[KEPT];
static uint64_t moment;                                /* counts up with each use */
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* guards both */

/* ---- making ---- */

static bool differs(const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (abs(a[i] - b[i]) > TOLERANCE)
            return true;
    return false;
}

static cmsHTRANSFORM new_transform(cmsContext context, const struct buf *icc, cmsUInt32Number in, cmsUInt32Number out)
{
    cmsHPROFILE from = cmsOpenProfileFromMemTHR(context, icc->data, (cmsUInt32Number)icc->len);
    cmsHPROFILE to = cmsCreate_sRGBProfileTHR(context);
    cmsHTRANSFORM t = NULL;
    if (from && to) /* without a cache inside, which threads would share */
        t = cmsCreateTransformTHR(context, from, in, to, out, INTENT_PERCEPTUAL,
                                  cmsFLAGS_NOCACHE | cmsFLAGS_COPY_ALPHA);
    if (from)
        cmsCloseProfile(from);
    if (to)
        cmsCloseProfile(to);
    return t;
}

/* Whether anything becomes another colour: all greys, or a grid over the cube. */
static bool changes_grey(struct colour_conversion *c)
{
    uint8_t in[256], same[256][3];
    for (size_t i = 0; i < 256; i++) {
        in[i] = (uint8_t)i;
        memset(same[i], (int)i, 3);
    }
    cmsDoTransform(c->transform, in, c->grey, 256);
    return differs(c->grey[0], same[0], sizeof same);
}

static bool changes_colours(const struct colour_conversion *c)
{
    enum { N = STEPS * STEPS * STEPS };
    uint8_t out[N * 4], same[N * 4];
    for (size_t i = 0; i < N; i++) {
        const size_t step[3] = {i % STEPS, i / STEPS % STEPS, i / (STEPS * STEPS)};
        for (size_t k = 0; k < c->channels; k++)
            same[i * c->channels + k] = (uint8_t)(k < 3 ? step[k] * 255 / (STEPS - 1) : 255);
    }
    memcpy(out, same, N * c->channels);
    cmsDoTransform(c->transform, out, out, N);
    return differs(out, same, N * c->channels);
}

static bool fill(struct colour_conversion *c, const struct buf *icc)
{
    const cmsUInt32Number pixel = c->channels == 4 ? TYPE_RGBA_8 : TYPE_RGB_8;
    c->context = cmsCreateContext(NULL, NULL); /* of its own: errors are not printed, nothing is shared */
    switch (c->context ? c->model : 0) {
    case COLOUR_GREY:
        c->transform = new_transform(c->context, icc, TYPE_GRAY_8, TYPE_RGB_8);
        return c->transform && changes_grey(c);
    case COLOUR_RGB:
        c->transform = new_transform(c->context, icc, pixel, pixel);
        return c->transform && changes_colours(c);
    case COLOUR_CMYK: c->transform = new_transform(c->context, icc, TYPE_CMYK_8_REV, TYPE_RGB_8); return c->transform;
    }
    return false;
}

void colour_close(struct colour_conversion *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    if (c->transform)
        cmsDeleteTransform(c->transform);
    if (c->context)
        cmsDeleteContext(c->context);
    free(c);
}

/* NULL: nothing is to be done. */
static struct colour_conversion *make(const void *icc, size_t len, enum colour_model model, unsigned channels)
{
    struct buf small = {0};
    struct colour_conversion *c = NULL;
    if (icc_trim(icc, len, model, &small)) {
        c = mem_new(1, sizeof *c);
        atomic_init(&c->references, 1);
        c->model = model;
        c->channels = channels;
        if (!fill(c, &small)) {
            colour_close(c);
            c = NULL;
        }
    }
    buf_clear(&small);
    return c;
}

/* ---- keeping; all with mu held ---- */

static struct colour_conversion *share(struct colour_conversion *c)
{
    if (c)
        atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

static struct kept *find(const unsigned char *digest)
{
    for (size_t i = 0; i < KEPT; i++)
        if (kept[i].used && memcmp(kept[i].digest, digest, HASH_SIZE) == 0)
            return &kept[i];
    return NULL;
}

/* In place of what was used longest ago. */
static void keep(const unsigned char *digest, struct colour_conversion *c)
{
    struct kept *oldest = &kept[0];
    for (size_t i = 1; i < KEPT; i++)
        if (kept[i].used < oldest->used)
            oldest = &kept[i];
    colour_close(oldest->colour);
    *oldest = (struct kept){.colour = share(c), .used = ++moment};
    memcpy(oldest->digest, digest, HASH_SIZE);
}

static void name_of(const void *icc, size_t len, enum colour_model model, unsigned channels, unsigned char *digest)
{
    const unsigned char form[2] = {(unsigned char)model, (unsigned char)channels};
    struct hash *h = hash_begin();
    hash_add(h, form, sizeof form);
    hash_add(h, icc, len);
    hash_end(h, digest);
}

struct colour_conversion *colour_open(const void *icc, size_t len, enum colour_model model, unsigned channels)
{
    unsigned char digest[HASH_SIZE];
    if (len == 0 || len > ICC_MAX)
        return NULL;
    name_of(icc, len, model, channels, digest);
    pthread_mutex_lock(&mu);
    struct kept *known = find(digest);
    struct colour_conversion *c = NULL;
    if (known) {
        known->used = ++moment;
        c = share(known->colour);
    }
    pthread_mutex_unlock(&mu);
    if (known)
        return c;
    c = make(icc, len, model, channels);
    pthread_mutex_lock(&mu);
    if (!find(digest)) /* two threads may have made it at once */
        keep(digest, c);
    pthread_mutex_unlock(&mu);
    return c;
}

/* ---- using ---- */

void colour_apply(const struct colour_conversion *c, uint8_t *pixels, size_t n)
{
    if (c->model == COLOUR_GREY)
        for (size_t i = 0; i < n; i++, pixels += c->channels)
            memcpy(pixels, c->grey[pixels[0]], 3);
    else
        cmsDoTransform(c->transform, pixels, pixels, (cmsUInt32Number)n);
}

void colour_of_inks(const struct colour_conversion *c, const uint8_t *inks, size_t n, uint8_t *rgb)
{
    cmsDoTransform(c->transform, inks, rgb, (cmsUInt32Number)n);
}
