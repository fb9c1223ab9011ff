/* fuzz_image.c - pictures of any kind: probe, decode and preprocessing agree with each other. */
#include <math.h>
#include <string.h>

#include "engine/pictures/image.h"
#include "engine/pictures/preprocess.h"
#include "tests/fuzz/fuzz.h"

/* Small, so that the time goes into the parsers and not into pixels. */
static const struct image_limits limits = {
    .bytes = 1 << 20, .pixels = 1 << 18, .side = 2048, .scans = 20, .millis = 2000};

static void check_decoded(const struct image *img, const struct image_info *info)
{
    static const struct preprocess p = {
        .resize = 20, .size = 16, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}};
    float out[16 * 16 * 3];
    FUZZ_CHECK(img->width == info->width && img->height == info->height);
    FUZZ_CHECK(preprocess_run(&p, img, out, NULL));
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        FUZZ_CHECK(isfinite(out[i]) && fabsf(out[i]) <= 1.001f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct image_info info;
    struct image img;
    const bool probed = image_probe(data, size, &limits, &info, &e);
    FUZZ_CHECK(probed == (e.code == ERR_NONE));
    e = (struct err){0};
    if (!image_decode(data, size, &limits, 0, &img, &e)) {
        FUZZ_CHECK(e.code == ERR_UNDECODABLE || e.code == ERR_TOO_LARGE || e.code == ERR_MEDIA_TYPE);
        return 0;
    }
    FUZZ_CHECK(probed);
    check_decoded(&img, &info);
    image_clear(&img);
    if (image_decode(data, size, &limits, 16, &img, NULL)) { /* DCT scaling */
        FUZZ_CHECK(img.width <= info.width && img.height <= info.height);
        image_clear(&img);
    }
    return 0;
}
