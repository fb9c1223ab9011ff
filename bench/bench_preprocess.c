/* bench_preprocess.c - how long a picture takes from bytes to the network's input.
 *
 *   bench_preprocess DIR            milliseconds for each step, over all pictures of a folder
 *   bench_preprocess DIR full|scaled    the 8-bit crops instead, raw on standard output, for comparing them
 *                                   (bench/preprocess_vs_pillow.py); scaled: with DCT scaling
 *   bench_preprocess DIR error [MODEL]  relative embedding error of DCT scaling; MODEL is a .safetensors file,
 *                                   without it a ResNet-18 with random weights and batch-norm statistics
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/lib/folder.h"
#include "engine/arch_resnet.h"
#include "engine/encoder.h"
#include "tests/lib/embedding_error.h"
#include "tests/lib/hashed_weights.h"

/* mean 0 and std 1/255: the values are the pixels. */
static bool write_crop(const struct file *p, uint32_t goal)
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
    if (image_decode(p->bytes, p->len, &image_default_limits, goal, &img, &e) &&
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

static struct times measure(const struct file *pictures, size_t n, uint32_t goal)
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
        ok = ok && image_decode(p->bytes, p->len, &image_default_limits, goal, &img, NULL);
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

static void report(const char *name, const struct file *pictures, size_t n, uint32_t goal)
{
    struct times best = {.decode = 1e9};
    for (int round = 0; round < 3; round++) {
        const struct times t = measure(pictures, n, goal);
        if (t.decode + t.preprocess < best.decode + best.preprocess)
            best = t;
    }
    const double each = best.done ? 1e3 / (double)best.done : 0;
    printf("%-8s %4zu pictures  probe %.3f  decode %.3f  resize, crop and normalise %.3f  ms each\n", name, best.done,
           best.probe * each, best.decode * each, best.preprocess * each);
}

/* vectors [n, dimensions] of all pictures. */
static bool embed_all(struct lane *lane, const struct folder *f, uint32_t goal, float *vectors, struct err *e)
{
    const struct preprocess *pre = encoder_preprocess(lane_encoder(lane));
    float *values = mem_new((size_t)pre->size * pre->size * 3, sizeof *values);
    bool ok = true;
    for (size_t i = 0; ok && i < f->n; i++, vectors += encoder_dimensions(lane_encoder(lane))) {
        struct image img = {0};
        ok = image_decode(f->files[i].bytes, f->files[i].len, &image_default_limits, goal, &img, e) &&
             preprocess_run(pre, &img, values, e) && lane_forward(lane, values, 1, vectors, e);
        image_clear(&img);
        if (!ok)
            err_wrap(e, "%s", f->files[i].path);
    }
    free(values);
    return ok;
}

static bool report_errors(struct lane *lane, const struct folder *f, struct err *e)
{
    const size_t d = encoder_dimensions(lane_encoder(lane));
    float *full = mem_new(f->n * d, sizeof *full), *scaled = mem_new(f->n * d, sizeof *scaled);
    const bool ok =
        embed_all(lane, f, 0, full, e) && embed_all(lane, f, encoder_preprocess(lane_encoder(lane))->resize, scaled, e);
    if (ok) {
        const struct embedding_error r = embedding_error(full, scaled, f->n, d);
        printf("relative embedding error of DCT scaling over %zu pictures: median %.2g, mean %.2g, largest %.2g "
               "(1 - cos between pictures: %.2g)\n",
               f->n, r.median, r.mean, r.largest, r.between);
    }
    free(full);
    free(scaled);
    return ok;
}

static bool measure_errors(const struct folder *f, const char *path, struct err *e)
{
    const struct arch arch = RESNET(18, IMAGENET, 64, 0);
    struct model *m = path ? model_load(path, NULL, e) : hashed_model(&arch, 224);
    struct encoder *enc = m ? encoder_new(m, &(struct encoder_options){.precision = PRECISION_FP32}, e) : NULL;
    struct lane *lane = enc ? lane_new(enc, 1, e) : NULL;
    const bool ok = lane && report_errors(lane, f, e);
    lane_free(lane);
    encoder_release(enc);
    model_free(m);
    return ok;
}

int main(int argc, char **argv)
{
    struct folder pictures = {0};
    const uint32_t resize = preprocess_imagenet.resize;
    struct err e = {0};
    int status = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR [full|scaled|error]\n", argv[0]);
        return 2;
    }
    if (!folder_read(argv[1], &pictures, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    if (argc > 2 && strcmp(argv[2], "error") == 0) {
        status = !measure_errors(&pictures, argc > 3 ? argv[3] : NULL, &e);
        if (status)
            fprintf(stderr, "%s\n", e.text);
    } else if (argc > 2) {
        for (size_t i = 0; i < pictures.n && status == 0; i++)
            status = !write_crop(&pictures.files[i], strcmp(argv[2], "full") == 0 ? 0 : resize);
    } else {
        report("full", pictures.files, pictures.n, 0);
        report("scaled", pictures.files, pictures.n, resize);
    }
    folder_clear(&pictures);
    return status;
}
