/* fuzz_icc.c - colour profiles: what passes the strict reader is whole, and little-cms can live with it. */
#include <stdlib.h>
#include <string.h>

#include "engine/pictures/colour.h"
#include "tests/fuzz/fuzz.h"

static void convert(const uint8_t *icc, size_t size, enum colour_model model, unsigned channels)
{
    static const uint8_t some[] = {0, 0, 0, 255, 255, 255, 255, 255, 128, 7, 200, 9};
    uint8_t pixels[sizeof some], rgb[sizeof some];
    struct colour_conversion *c = colour_open(icc, size, model, channels);
    memcpy(pixels, some, sizeof some);
    if (c && model == COLOUR_CMYK)
        colour_of_inks(c, pixels, sizeof some / 4, rgb);
    else if (c)
        colour_apply(c, pixels, sizeof some / channels);
    colour_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum colour_model models[] = {COLOUR_GREY, COLOUR_RGB, COLOUR_CMYK};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct buf small = {0}, smaller = {0};
        const bool ok = icc_trim(data, size, models[i], &small);
        FUZZ_CHECK(ok == (small.len > 0));
        if (ok) { /* what was trimmed is trimmed to itself */
            FUZZ_CHECK(small.len % 4 == 0 && icc_trim((const uint8_t *)small.data, small.len, models[i], &smaller));
            FUZZ_CHECK(smaller.len == small.len && memcmp(small.data, smaller.data, small.len) == 0);
            convert(data, size, models[i], models[i] == COLOUR_CMYK ? 4 : 3 + size % 2);
        }
        buf_clear(&small);
        buf_clear(&smaller);
    }
    return 0;
}
