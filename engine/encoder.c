/* encoder.c - encoders and lanes: a network shared, a plan for each thread. */
#include "engine/encoder.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/network.h"
#include "engine/plan.h"

struct encoder {
    atomic_size_t references;
    struct network *network;
    struct preprocess pre;
    uint32_t dimensions;
    enum precision precision; /* FP32 or BF16 */
    char fingerprint[HASH_HEX];
};

struct lane {
    struct encoder *encoder; /* shared */
    struct plan *one, *many; /* many: NULL when the lane's batch is 1 */
    float *pixels;           /* [size, size, 3]: the picture that lane_embed() works on */
};

struct encoder *encoder_new(const struct model *m, const struct encoder_options *o, struct err *e)
{
    struct encoder *enc = mem_new(1, sizeof *enc);
    enum backend backend = o->backend;

    atomic_init(&enc->references, 1);
    enc->pre = m->pre;
    enc->dimensions = arch_dimensions(&m->arch);
    memcpy(enc->fingerprint, m->fingerprint, sizeof enc->fingerprint);
    enc->precision = o->precision;
    if (backend_settle(&backend, &enc->precision, e)) {
        enum dtype dtype = enc->precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
        enc->network = network_new(m, dtype, backend, e);
    }
    if (enc->network)
        return enc;
    encoder_release(enc);
    return NULL;
}

struct encoder *encoder_share(struct encoder *enc)
{
    atomic_fetch_add_explicit(&enc->references, 1, memory_order_relaxed);
    return enc;
}

void encoder_release(struct encoder *enc)
{
    if (!enc || atomic_fetch_sub_explicit(&enc->references, 1, memory_order_acq_rel) != 1)
        return;
    network_free(enc->network);
    free(enc);
}

uint32_t encoder_dimensions(const struct encoder *enc)
{
    return enc->dimensions;
}

const char *encoder_fingerprint(const struct encoder *enc)
{
    return enc->fingerprint;
}

const struct preprocess *encoder_preprocess(const struct encoder *enc)
{
    return &enc->pre;
}

enum precision encoder_precision(const struct encoder *enc)
{
    return enc->precision;
}

struct lane *lane_new(struct encoder *enc, size_t batch, struct err *e)
{
    struct lane *lane = mem_new(1, sizeof *lane);

    lane->encoder = encoder_share(enc);
    lane->pixels = mem_aligned((size_t)enc->pre.size * enc->pre.size * 3, sizeof(float));
    lane->one = plan_new(enc->network, 1, e);
    if (lane->one && batch > 1)
        lane->many = plan_new(enc->network, batch, e);
    if (lane->one && (lane->many || batch == 1))
        return lane;
    lane_free(lane);
    return NULL;
}

void lane_free(struct lane *lane)
{
    if (!lane)
        return;
    plan_free(lane->one);
    plan_free(lane->many);
    free(lane->pixels);
    encoder_release(lane->encoder);
    free(lane);
}

struct encoder *lane_encoder(const struct lane *lane)
{
    return lane->encoder;
}

/* Full batches first; what is left over goes one by one. */
bool lane_forward(struct lane *lane, const float *pixels, size_t n, float *vectors, struct err *e)
{
    const struct encoder *enc = lane->encoder;
    size_t picture = (size_t)enc->pre.size * enc->pre.size * 3;

    for (size_t done = 0; done < n;) {
        struct plan *p = lane->many && n - done >= plan_batch(lane->many) ? lane->many : lane->one;
        if (!plan_forward(p, pixels + done * picture, vectors + done * enc->dimensions, e))
            return false;
        done += plan_batch(p);
    }
    return true;
}

bool lane_embed(struct lane *lane, const void *bytes, size_t len, const struct image_limits *limits, float *vector,
                struct image_info *info, struct err *e)
{
    const struct preprocess *pre = &lane->encoder->pre;
    struct image_info own;
    struct image img = {0};
    info = info ? info : &own;
    bool ok = image_probe(bytes, len, limits, info, e) &&
              image_decode(bytes, len, limits, preprocess_goal(pre, info->width, info->height), &img, e) &&
              preprocess_run(pre, &img, lane->pixels, e);
    image_clear(&img); /* before the forward pass, so that a large picture is not held through it */
    return ok && plan_forward(lane->one, lane->pixels, vector, e);
}
