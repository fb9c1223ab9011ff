/* bench_preprocess.c - how long a picture takes from bytes to the network's input.
 *
 *   bench_preprocess DIR            milliseconds for each step, over all pictures of a folder
 *   bench_preprocess DIR full|scaled    the 8-bit crops instead, raw on standard output, for comparing them
 *                                   (bench/preprocess_vs_pillow.py); scaled: with DCT scaling
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/image.h"
#include "engine/preprocess.h"
#include "tests/lib/folder.h"

/* mean 0 and std 1/255: the values are the pixels. */
static bool write_crop(const struct file *p, uint32_t min_side)
{
    struct preprocess as_pixels = preprocess_imagenet;
    static float values[224 * 224 * 3];
    static uint8_t bytes[224 * 224 * 3];
    struct image img = {0};
    struct err e = {0};
    for (size_t c = 0; c < 3; c++) {
        as_pixels.mean[c] = 0;
        as_pixels.std[c] = 1.0f / 255.0f;
    }
    memset(bytes, 0, sizeof bytes);
    if (image_decode(p->bytes, p->len, &image_default_limits, min_side, &img, &e) &&
        preprocess_run(&as_pixels, &img, values, &e))
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(values[i] + 0.5f);
    else
        fprintf(stderr, "%s: %s\n", p->path, e.text);
    image_clear(&img);
    return fwrite(bytes, sizeof bytes, 1, stdout) == 1;
}

struct times {
    double probe, decode, preprocess;
    size_t done;
};

static struct times measure(const struct file *pictures, size_t n, uint32_t min_side)
{
    static float values[224 * 224 * 3];
    struct times t = {0};
    for (size_t i = 0; i < n; i++) {
        const struct file *p = &pictures[i];
        struct image img = {0};
        struct image_info info;
        const double start = clock_s();
        bool ok = image_probe(p->bytes, p->len, &image_default_limits, &info, NULL);
        const double probed = clock_s();
        ok = ok && image_decode(p->bytes, p->len, &image_default_limits, min_side, &img, NULL);
        const double decoded = clock_s();
        ok = ok && preprocess_run(&preprocess_imagenet, &img, values, NULL);
        if (ok) {
            t.probe += probed - start;
            t.decode += decoded - probed;
            t.preprocess += clock_s() - decoded;
            t.done++;
        }
        image_clear(&img);
    }
    return t;
}

static void report(const char *name, const struct file *pictures, size_t n, uint32_t min_side)
{
    struct times best = {.decode = 1e9};
    for (int round = 0; round < 3; round++) {
        const struct times t = measure(pictures, n, min_side);
        if (t.decode + t.preprocess < best.decode + best.preprocess)
            best = t;
    }
    const double each = best.done ? 1e3 / (double)best.done : 0;
    printf("%-8s %4zu pictures  probe %.3f  decode %.3f  resize, crop and normalise %.3f  ms each\n", name,
           best.done, best.probe * each, best.decode * each, best.preprocess * each);
}

int main(int argc, char **argv)
{
    struct folder pictures = {0};
    const uint32_t resize = preprocess_imagenet.resize;
    struct err e = {0};
    int status = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR [full|scaled]\n", argv[0]);
        return 2;
    }
    if (!folder_read(argv[1], &pictures, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    if (argc > 2) {
        for (size_t i = 0; i < pictures.n && status == 0; i++)
            status = !write_crop(&pictures.files[i], strcmp(argv[2], "full") == 0 ? 0 : resize);
    } else {
        report("full", pictures.files, pictures.n, 0);
        report("scaled", pictures.files, pictures.n, resize);
    }
    folder_clear(&pictures);
    return status;
}
