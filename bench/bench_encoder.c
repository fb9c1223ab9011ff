/* bench_encoder.c - what the engine itself can do: the limit that a server's rate is compared to.
 *
 *   bench_encoder DIR [MODEL [SECONDS]]
 *
 * DIR holds pictures; MODEL is a .safetensors file or resnet18, resnet34, resnet50 (random weights and batch-norm
 * statistics); SECONDS (2) is for each figure.  One lane and one thread for each core, one image at a time.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/lib/folder.h"
#include "bench/lib/processor.h"
#include "engine/encoder.h"
#include "tests/lib/embedding_error.h"
#include "tests/lib/hashed_weights.h"
#include "tests/lib/load.h"

enum work { PREPARE, FORWARD, EMBED }; /* decode and resize; the network alone; all of it */

struct bench {
    struct folder pictures;
    size_t threads;
    double seconds;
};

struct runner { /* one thread */
    const struct bench *bench;
    struct encoder *enc;
    enum work work;
    size_t first;  /* picture to begin with */
    double *times; /* seconds of each image */
    size_t done;
    struct err err;
};

static bool prepare(const struct preprocess *pre, const struct file *f, float *pixels, struct err *e)
{
    struct image_info info;
    struct image img = {0};
    bool ok = image_probe(f->bytes, f->len, &image_default_limits, &info, e) &&
              image_decode(f->bytes, f->len, &image_default_limits, pre->resize, &img, e) &&
              preprocess_run(pre, &img, pixels, e);
    image_clear(&img);
    return ok;
}

static void *run(void *argument)
{
    struct runner *r = argument;
    const struct folder *pictures = &r->bench->pictures;
    const struct preprocess *pre = encoder_preprocess(r->enc);
    struct lane *lane = lane_new(r->enc, 1, &r->err);
    float *pixels = mem_new((size_t)pre->size * pre->size * 3, sizeof *pixels);
    float *vector = mem_new(encoder_dimensions(r->enc), sizeof *vector);
    double end = clock_s() + r->bench->seconds;
    bool ok = lane && prepare(pre, &pictures->files[0], pixels, &r->err);

    for (size_t i = r->first; ok && clock_s() < end; i++) {
        const struct file *f = &pictures->files[i % pictures->n];
        double start = clock_s();
        switch (r->work) {
        case PREPARE: ok = prepare(pre, f, pixels, &r->err); break;
        case FORWARD: ok = lane_forward(lane, pixels, 1, vector, &r->err); break;
        case EMBED: ok = lane_embed(lane, f->bytes, f->len, &image_default_limits, vector, NULL, &r->err); break;
        }
        r->times = mem_grow(r->times, r->done + 1, sizeof *r->times);
        r->times[r->done++] = clock_s() - start;
    }
    lane_free(lane);
    free(pixels);
    free(vector);
    return NULL;
}

/* Images a second of `threads` threads together; *p50 is the milliseconds of one image. */
static double measure(const struct bench *b, struct encoder *enc, enum work work, size_t threads, double *p50)
{
    struct runner *runners = mem_new(threads, sizeof *runners);
    pthread_t *ids = mem_new(threads, sizeof *ids);
    double rate = 0;

    for (size_t i = 0; i < threads; i++) {
        runners[i] = (struct runner){.bench = b, .enc = enc, .work = work, .first = i * b->pictures.n / threads};
        if (pthread_create(&ids[i], NULL, run, &runners[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < threads; i++) {
        double sum = 0;
        pthread_join(ids[i], NULL);
        if (runners[i].err.code)
            fprintf(stderr, "%s\n", runners[i].err.text);
        for (size_t j = 0; j < runners[i].done; j++)
            sum += runners[i].times[j];
        rate += sum > 0 ? (double)runners[i].done / sum : 0;
        if (i == 0)
            *p50 = 1e3 * quantile(runners[i].times, runners[i].done, 0.5);
        free(runners[i].times);
    }
    free(runners);
    free(ids);
    return rate;
}

static double resident_mb(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static struct model *get_model(const char *name, struct err *e)
{
    struct arch a;
    if (arch_parse(name, &a, NULL))
        return hashed_model(&a, 224);
    return model_load(name, NULL, e);
}

static const struct kind {
    const char *name;
    struct encoder_options options;
} kinds[] = {
    {"dnnl bf16", {PRECISION_BF16, BACKEND_DNNL}},
    {"dnnl fp32", {PRECISION_FP32, BACKEND_DNNL}},
    {"blas fp32", {PRECISION_FP32, BACKEND_BLAS}},
};

/* What a server does before it answers its first request, but for reading the file. */
static double start_ms(const struct model *m, const struct encoder_options *o)
{
    struct err e = {0};
    double start = clock_s();
    struct encoder *enc = encoder_new(m, o, &e);
    struct lane *lane = enc ? lane_new(enc, 1, &e) : NULL;
    float *pixels = hashed_picture(1, m->pre.size), *vector = mem_new(arch_dimensions(&m->arch), sizeof *vector);
    if (!lane || !lane_forward(lane, pixels, 1, vector, &e))
        fprintf(stderr, "%s\n", e.text);
    free(pixels);
    free(vector);
    lane_free(lane);
    encoder_release(enc);
    return 1e3 * (clock_s() - start);
}

static void bench_kind(const struct bench *b, const struct model *m, const struct kind *k)
{
    struct err e = {0};
    double start = start_ms(m, &k->options), forward_p50, embed_p50;
    struct encoder *enc = encoder_new(m, &k->options, &e);
    if (!enc) {
        printf("%-10s  %s\n", k->name, e.text);
        return;
    }
    double forward = measure(b, enc, FORWARD, b->threads, &forward_p50);
    double embed = measure(b, enc, EMBED, b->threads, &embed_p50);
    measure(b, enc, FORWARD, 1, &forward_p50);
    measure(b, enc, EMBED, 1, &embed_p50);
    printf("%-10s  %8.0f  %9.1f  %9.1f  %10.2f  %10.2f\n", k->name, start, forward, embed, forward_p50, embed_p50);
    encoder_release(enc);
}

static float *embed_all(const struct bench *b, const struct model *m, enum precision precision)
{
    struct err e = {0};
    struct encoder *enc = encoder_new(m, &(struct encoder_options){.precision = precision}, &e);
    struct lane *lane = enc ? lane_new(enc, 1, &e) : NULL;
    size_t d = arch_dimensions(&m->arch);
    float *vectors = mem_new(b->pictures.n * d, sizeof *vectors);
    bool ok = lane != NULL;
    for (size_t i = 0; ok && i < b->pictures.n; i++)
        ok = lane_embed(lane, b->pictures.files[i].bytes, b->pictures.files[i].len, &image_default_limits,
                        vectors + i * d, NULL, &e);
    lane_free(lane);
    encoder_release(enc);
    if (ok)
        return vectors;
    printf("relative embedding error: %s\n", e.text);
    free(vectors);
    return NULL;
}

static void report_error(const struct bench *b, const struct model *m)
{
    float *exact = embed_all(b, m, PRECISION_FP32), *rounded = embed_all(b, m, PRECISION_BF16);
    if (exact && rounded && b->pictures.n > 1) {
        const struct embedding_error r = embedding_error(exact, rounded, b->pictures.n, arch_dimensions(&m->arch));
        printf("relative embedding error of bf16: median %.2g, largest %.2g (1 - cos between pictures: %.2g)\n",
               r.median, r.largest, r.between);
    }
    free(exact);
    free(rounded);
}

static void bench_model(const struct bench *b, const struct model *m)
{
    struct err e = {0};
    double p50 = 0, before = resident_mb();
    struct encoder *enc = encoder_new(m, &(struct encoder_options){0}, &e);
    struct lane *lane = enc ? lane_new(enc, 1, &e) : NULL;
    if (!lane) {
        fprintf(stderr, "%s\n", e.text);
        return;
    }
    printf("an encoder and a lane: %.0f MB\n", resident_mb() - before);
    double rate = measure(b, enc, PREPARE, b->threads, &p50);
    measure(b, enc, PREPARE, 1, &p50);
    printf("decode and resize: %.1f images/s, %.2f ms\n", rate, p50);
    printf("%-10s  %8s  %9s  %9s  %10s  %10s\n", "", "start ms", "forward/s", "embed/s", "forward ms", "embed ms");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        bench_kind(b, m, &kinds[i]);
    report_error(b, m);
    lane_free(lane);
    encoder_release(enc);
}

int main(int argc, char **argv)
{
    struct bench b = {.threads = (size_t)sysconf(_SC_NPROCESSORS_ONLN), .seconds = argc > 3 ? atof(argv[3]) : 2};
    const char *name = argc > 2 ? argv[2] : "resnet18";
    struct err e = {0};

    if (argc < 2) {
        fprintf(stderr, "usage: bench_encoder DIR [MODEL [SECONDS]]\n");
        return 2;
    }
    /* As in the server: one thread for each image.  libgomp reads this at its start only. */
    if (!getenv("OMP_NUM_THREADS") && setenv("OMP_NUM_THREADS", "1", 1) == 0)
        execv("/proc/self/exe", argv);
    struct model *m = get_model(name, &e);
    if (!m || !folder_read(argv[1], &b.pictures, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    processor_print();
    printf("%s, %u pixels; %zu pictures, %zu threads\n", arch_text(&m->arch, ARCH_TEXT_FACTS).text, m->pre.size,
           b.pictures.n, b.threads);
    bench_model(&b, m);
    folder_clear(&b.pictures);
    model_free(m);
    return 0;
}
