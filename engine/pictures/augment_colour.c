/* augment_colour.c - the single steps of an augmentation, on values 0..1. */
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "engine/pictures/augment.h"

static inline float clip(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static inline float luma(const float *p)
{
    return 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
}

HOT_LOOP void augment_brightness(float *rgb, size_t n, float factor)
{
    for (size_t i = 0; i < 3 * n; i++)
        rgb[i] = clip(rgb[i] * factor);
}

HOT_LOOP void augment_contrast(float *rgb, size_t n, float factor)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)luma(rgb + 3 * i);
    float base = (1 - factor) * (float)(sum / (double)n);
    for (size_t i = 0; i < 3 * n; i++)
        rgb[i] = clip(rgb[i] * factor + base);
}

HOT_LOOP void augment_saturation(float *rgb, size_t n, float factor)
{
    for (size_t i = 0; i < n; i++) {
        float *p = rgb + 3 * i, base = (1 - factor) * luma(p);
        for (size_t c = 0; c < 3; c++)
            p[c] = clip(p[c] * factor + base);
    }
}

/* One channel of HSV turned back: the trapezoid of width 6 that channel c follows along the hue. */
static inline float hue_channel(float hue, float offset, float value, float chroma)
{
    float k = hue * 6 + offset;
    k -= 6 * floorf(k / 6);
    float t = fminf(fminf(k, 4 - k), 1);
    return value - chroma * fmaxf(t, 0);
}

HOT_LOOP void augment_hue(float *rgb, size_t n, float turns)
{
    for (size_t i = 0; i < n; i++) {
        float *p = rgb + 3 * i, r = p[0], g = p[1], b = p[2];
        float value = fmaxf(r, fmaxf(g, b)), chroma = value - fminf(r, fminf(g, b));
        if (!(chroma > 0))
            continue;
        float hue = value == r ? (g - b) / chroma : value == g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
        hue = hue / 6 + turns;
        p[0] = clip(hue_channel(hue, 5, value, chroma));
        p[1] = clip(hue_channel(hue, 3, value, chroma));
        p[2] = clip(hue_channel(hue, 1, value, chroma));
    }
}

HOT_LOOP void augment_gray(float *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++)
        rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = luma(rgb + 3 * i);
}

HOT_LOOP void augment_solarize(float *rgb, size_t n)
{
    for (size_t i = 0; i < 3 * n; i++)
        rgb[i] = rgb[i] < 0.5f ? rgb[i] : 1 - rgb[i];
}

void augment_flip(float *rgb, size_t size)
{
    for (size_t y = 0; y < size; y++)
        for (size_t x = 0; x < size / 2; x++) {
            float *a = rgb + (y * size + x) * 3, *b = rgb + (y * size + size - 1 - x) * 3, t[3];
            memcpy(t, a, sizeof t);
            memcpy(a, b, sizeof t);
            memcpy(b, t, sizeof t);
        }
}

void augment_blur_kernel(float sigma, size_t radius, float *kernel)
{
    double sum = 0;
    for (size_t i = 0; i <= 2 * radius; i++) {
        double x = (double)i - (double)radius;
        kernel[i] = (float)exp(-x * x / (2 * (double)sigma * (double)sigma));
        sum += (double)kernel[i];
    }
    for (size_t i = 0; i <= 2 * radius; i++)
        kernel[i] = (float)((double)kernel[i] / sum);
}

/* Position i - radius + k in a row of n, mirrored at the ends without repeating them. */
static size_t reflect(size_t i, size_t k, size_t radius, size_t n)
{
    ptrdiff_t at = (ptrdiff_t)(i + k) - (ptrdiff_t)radius, last = (ptrdiff_t)n - 1;
    if (at < 0)
        at = -at;
    if (at > last)
        at = 2 * last - at;
    return (size_t)(at < 0 ? 0 : at > last ? last : at);
}

/* Adds weight times a run of `count` values. */
HOT_LOOP static void add_scaled(float *restrict out, const float *restrict in, size_t count, float weight)
{
    for (size_t i = 0; i < count; i++)
        out[i] += weight * in[i];
}

void augment_blur(float *rgb, size_t size, float sigma, size_t radius, float *scratch)
{
    float kernel[2 * 64 + 1];
    size_t row = size * 3, all = row * size;
    radius = min_size(radius, 64);
    augment_blur_kernel(sigma, radius, kernel);
    memset(scratch, 0, all * sizeof *scratch);
    for (size_t y = 0; y < size; y++) /* down the columns: whole rows at once */
        for (size_t k = 0; k <= 2 * radius; k++)
            add_scaled(scratch + y * row, rgb + reflect(y, k, radius, size) * row, row, kernel[k]);
    memset(rgb, 0, all * sizeof *rgb);
    for (size_t y = 0; y < size; y++)
        for (size_t k = 0; k <= 2 * radius; k++) {
            const float *in = scratch + y * row;
            float *out = rgb + y * row;
            size_t inner = k < radius ? radius - k : 0, end = k > radius ? size - min_size(size, k - radius) : size;
            for (size_t x = 0; x < min_size(inner, size); x++)
                add_scaled(out + 3 * x, in + 3 * reflect(x, k, radius, size), 3, kernel[k]);
            if (end > inner)
                add_scaled(out + 3 * inner, in + 3 * (inner + k - radius), 3 * (end - inner), kernel[k]);
            for (size_t x = end > inner ? end : inner; x < size; x++)
                add_scaled(out + 3 * x, in + 3 * reflect(x, k, radius, size), 3, kernel[k]);
        }
}
