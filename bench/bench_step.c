/* bench_step.c - one step of training: ResNet-18 with the small stem, 32 pixels, 128 rows; forward, InfoNCE, backward,
 * SGD.
 *
 *   bench_step [SECONDS [DIR [ROUNDS]]]   ours beside PyTorch's (bench/peers/torch/step.py, when python3-torch is there)
 *   bench_step --run PRECISION SECONDS [DIR]     one process's figures, as a line of JSON
 *
 * SECONDS (5) is for each figure.  DIR is a folder of JPEG files: the step is then fed from it as well, two views of
 * the recipe `cifar`, through the loader.  Each contestant is a process of its own, so that its peak of memory is its
 * own too; they take turns, ROUNDS (2) each, and the best round counts.  $PYTHON: another interpreter than Debian's.
 */
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/processor.h"
#include "bench/lib/figures.h"
#include "engine/arch_resnet.h"
#include "engine/data/loader.h"
#include "engine/learning/learner.h"
#include "tests/lib/hashed_weights.h"

enum { SIZE = 32, ROWS = 128, WARM_UP = 3 };

/* ---- one process ---- */

struct step {
    struct learner *learner;
    struct loss *loss;
    struct optimizer *optimizer;
    float *z, *dz;
    double loss_s, optimizer_s;
};

static bool step_open(struct step *s, enum precision precision, struct err *e)
{
    static const struct arch arch = RESNET(18, SMALL1, 64, 0);
    struct objective_settings infonce = objective_infonce.defaults;
    struct optimizer_settings sgd = optimizer_defaults(OPTIMIZER_SGD);
    struct model *m = hashed_model(&arch, SIZE);
    size_t n;

    s->learner = learner_new(
        m,
        &(struct learner_options){
            .precision = precision, .batch = ROWS, .n_head = 2, .head = {{512, true, true}, {128, false, false}}},
        e);
    model_free(m);
    if (!s->learner)
        return false;
    const struct parameter *p = learner_parameters(s->learner, &n);
    size_t d = learner_outputs(s->learner);
    infonce.temperature = 0.2;
    infonce.positives = POSITIVES_VIEWS;
    s->loss = loss_new(&objective_infonce, &infonce, &(struct loss_shape){.n = ROWS, .d = d}, e);
    s->optimizer = optimizer_new(&sgd, p, n, e);
    s->z = mem_new(ROWS * d, sizeof *s->z);
    s->dz = mem_new(ROWS * d, sizeof *s->dz);
    return s->loss && s->optimizer;
}

static void step_close(struct step *s)
{
    learner_free(s->learner);
    loss_free(s->loss);
    optimizer_free(s->optimizer);
    free(s->z);
    free(s->dz);
}

static bool step_run(struct step *s, const float *pixels, const int32_t *groups, struct err *e)
{
    const struct loss_batch b = {.z = s->z, .groups = groups, .n = ROWS, .d = learner_outputs(s->learner)};

    if (!learner_forward(s->learner, pixels, s->z, e))
        return false;
    double start = clock_s();
    double loss = loss_run(s->loss, &b, s->dz).loss;
    s->loss_s += clock_s() - start;
    if (!isfinite(loss))
        return err_set(e, ERR_INTERNAL, "the loss is %g", loss);
    if (!learner_backward(s->learner, s->dz, false, e))
        return false;
    start = clock_s();
    optimizer_step(s->optimizer, 1e-3);
    s->optimizer_s += clock_s() - start;
    return true;
}

enum part { CONVOLUTIONS, NORMS, OTHER, PARTS };
struct parts { /* seconds */
    double learner[PARTS][2], loss, optimizer;
};

static struct parts parts_so_far(const struct step *s)
{
    struct parts p = {.loss = s->loss_s, .optimizer = s->optimizer_s};
    for (int back = 0; back < 2; back++) {
        p.learner[CONVOLUTIONS][back] = learner_seconds(s->learner, &op_conv, back);
        p.learner[NORMS][back] = learner_seconds(s->learner, &op_norm, back);
        p.learner[OTHER][back] =
            learner_seconds(s->learner, NULL, back) - p.learner[CONVOLUTIONS][back] - p.learner[NORMS][back];
    }
    return p;
}

/* Milliseconds of each part of a step, to standard error. */
static void report_parts(const struct step *s, const struct parts *before, size_t steps, const char *name)
{
    static const char *const names[PARTS] = {"convolutions", "norms", "other"};
    struct parts now = parts_so_far(s);
    double ms = 1e3 / (double)steps;
    fprintf(stderr, "%s (forward + backward):", name);
    for (int i = 0; i < PARTS; i++)
        fprintf(stderr, " %s %.1f + %.1f ms,", names[i], ms * (now.learner[i][0] - before->learner[i][0]),
                ms * (now.learner[i][1] - before->learner[i][1]));
    fprintf(stderr, " loss %.1f, optimiser %.1f; the learner holds %.0f MB\n", ms * (now.loss - before->loss),
            ms * (now.optimizer - before->optimizer), (double)learner_memory(s->learner) / 1e6);
}

/* Rows a second; the same pixels each time. */
static double bare_rate(struct step *s, double seconds, const char *name, struct err *e)
{
    int32_t groups[ROWS];
    float *pixels = mem_new((size_t)ROWS * SIZE * SIZE * 3, sizeof *pixels);
    struct parts before = {0};
    double start = 0, end = 0;
    size_t steps = 0;

    for (unsigned i = 0; i < ROWS; i++) {
        float *picture = hashed_picture(i, SIZE);
        memcpy(pixels + (size_t)i * SIZE * SIZE * 3, picture, SIZE * SIZE * 3 * sizeof *picture);
        free(picture);
        groups[i] = (int32_t)i % (ROWS / 2);
    }
    for (size_t i = 0; i <= WARM_UP || end < start + seconds; i++) {
        if (i == WARM_UP) {
            start = clock_s();
            before = parts_so_far(s);
        }
        if (!step_run(s, pixels, groups, e))
            break;
        steps += i >= WARM_UP;
        end = clock_s();
    }
    free(pixels);
    if (e->code)
        return 0;
    report_parts(s, &before, steps, name);
    return (double)steps * ROWS / (end - start);
}

/* Rows a second when the loader feeds the step. */
static bool run_fed(struct step *s, struct loader *l, double seconds, double *rate, struct err *e)
{
    double start = 0, end = 0;
    size_t steps = 0;

    for (size_t i = 0; i <= WARM_UP || end < start + seconds; i++) {
        if (i == WARM_UP)
            start = clock_s();
        const struct batch *b = loader_take(l, e);
        if (!b)
            return false;
        bool ok = step_run(s, b->pixels, b->groups, e);
        loader_give_back(l, b);
        if (!ok)
            return false;
        steps += i >= WARM_UP;
        end = clock_s();
    }
    *rate = (double)steps * ROWS / (end - start);
    return true;
}

/* `memory` 1: every view decodes its file anew. */
static bool fed_rate(struct step *s, const char *dir, size_t memory, double seconds, double *rate, struct err *e)
{
    struct manifest m = {0};
    struct preprocess pre = preprocess_imagenet;
    struct crops crops = {.groups = {{.count = 2, .size = SIZE}}, .n = 1};
    struct dataset *d = NULL;
    struct sampler *sampler = NULL;
    struct loader *l = NULL;
    size_t n = 0, *all = NULL;

    pre.size = SIZE;
    memcpy(crops.groups[0].augment, recipe_find("cifar")->view, sizeof crops.groups[0].augment);
    if (manifest_read_folder(&m, dir, e))
        d = dataset_open(&m, &(struct dataset_options){.size = SIZE, .memory = memory, .limits = image_default_limits},
                         e);
    if (d) {
        all = manifest_side(&m, false, &n);
        sampler = sampler_new(&m, all, n, ROWS / 2, 0, 1, e);
    }
    if (sampler)
        l = loader_new(&(struct loader_options){.manifest = &m,
                                                .dataset = d,
                                                .sampler = sampler,
                                                .batch = ROWS / 2,
                                                .crops = &crops,
                                                .preprocess = &pre,
                                                .positives = POSITIVES_VIEWS,
                                                .seed = 1,
                                                .threads = cores_usable()},
                       e);
    bool ok = l && run_fed(s, l, seconds, rate, e);
    loader_free(l);
    sampler_free(sampler);
    dataset_close(d);
    manifest_clear(&m);
    free(all);
    return ok;
}

static double peak_mb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024 * 1.048576;
}

static int run_alone(const char *name, double seconds, const char *dir)
{
    struct step s = {0};
    struct err e = {0};
    enum precision precision = strcmp(name, "fp32") == 0   ? PRECISION_FP32
                               : strcmp(name, "bf16") == 0 ? PRECISION_BF16
                                                           : PRECISION_AUTO;
    double start = clock_s(), fed = 0, decoding = 0;
    bool ok = step_open(&s, precision, &e);
    double opened = clock_s() - start, rate = ok ? bare_rate(&s, seconds, name, &e) : 0, peak = peak_mb();

    ok = ok && !e.code &&
         (!dir || (fed_rate(&s, dir, 0, seconds, &fed, &e) && fed_rate(&s, dir, 1, seconds, &decoding, &e)));
    if (ok)
        printf("{\"rate\": %.1f, \"peak_mb\": %.0f, \"fed_rate\": %.1f, \"decoding_rate\": %.1f, \"open_s\": %.2f}\n",
               rate, peak, fed, decoding, opened);
    else
        fprintf(stderr, "%s: %s\n", name, e.text);
    step_close(&s);
    return ok ? 0 : 1;
}

/* ---- beside PyTorch ---- */

/* Runs a command to its end; what it printed, parsed; NULL when it failed. */
static struct json *ask(const char *const *command)
{
    struct buf text = {0};
    struct err e = {0};
    posix_spawn_file_actions_t actions;
    int ends[2], status = 0;
    pid_t pid;
    char piece[4096];
    ssize_t got;

    if (pipe(ends) != 0 || posix_spawn_file_actions_init(&actions) != 0)
        abort();
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    int failed = posix_spawnp(&pid, command[0], &actions, NULL, (char *const *)(uintptr_t)command, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while ((got = read(ends[0], piece, sizeof piece)) > 0)
        buf_add(&text, piece, (size_t)got);
    close(ends[0]);
    bool ok = failed == 0 && waitpid(pid, &status, 0) == pid && status == 0;
    struct json *doc = ok ? json_parse(text.data, text.len, 0, &e) : NULL;
    buf_clear(&text);
    return doc;
}

static double number(const struct json *object, const char *name)
{
    double x = 0;
    json_as_number(json_member(object, name), &x);
    return x;
}

struct contestant { /* the best of its rounds */
    const char *name;
    double rate, peak_mb, fed_rate, decoding_rate, open_s;
};

static bool ask_ours(struct contestant *c, const char *seconds, const char *dir)
{
    struct json *doc = ask((const char *[]){"/proc/self/exe", "--run", c->name, seconds, dir, NULL});
    double rate = number(doc, "rate");
    bool ok = doc != NULL;
    if (rate > c->rate)
        *c = (struct contestant){c->name,
                                 rate,
                                 number(doc, "peak_mb"),
                                 number(doc, "fed_rate"),
                                 number(doc, "decoding_rate"),
                                 number(doc, "open_s")};
    json_free(doc);
    return ok;
}

enum { OURS_FP32, OURS_AUTO, OURS };
enum { PEER_FP32, PEER_BF16, PEERS }; /* each the faster of its two layouts */

/* A processor without bf16 emulates it, which takes hours. */
static bool has_bf16(void)
{
    char text[PROCESSOR_TEXT];
    processor_describe(text);
    return strstr(text, "bf16") != NULL;
}

static void ask_peers(struct contestant *peers, const char *seconds, const char *threads)
{
    static const struct {
        const char *name;
        int peer;
    } modes[] = {
        {"fp32", PEER_FP32}, {"fp32_channels_last", PEER_FP32}, {"bf16", PEER_BF16}, {"bf16_channels_last", PEER_BF16}};
    const char *python = getenv("PYTHON");
    struct json *doc = ask((const char *[]){
        python ? python : "/usr/bin/python3", "bench/peers/torch/step.py", "--seconds", seconds, "--threads", threads,
        "--modes", has_bf16() ? "fp32,fp32_channels_last,bf16,bf16_channels_last" : "fp32,fp32_channels_last", NULL});
    for (size_t i = 0; i < COUNT(modes); i++) {
        const struct json *mode = json_member(json_member(doc, "modes"), modes[i].name);
        if (number(mode, "images_per_s") > peers[modes[i].peer].rate)
            peers[modes[i].peer] = (struct contestant){
                modes[i].name, number(mode, "images_per_s"), number(mode, "peak_rss_mb") * 1.048576, 0, 0, 0};
    }
    json_free(doc);
}

static void report_ours(const struct contestant *c, bool fed)
{
    char what[100];
    snprintf(what, sizeof what, "rate, %s", c->name);
    figure(what, "images/s", c->rate, NULL, 0, JUST_TOLD, 0);
    if (fed) {
        figure("  fed by the loader, pictures kept decoded", "images/s", c->fed_rate, "the bare step", c->rate,
               AT_LEAST, 0.8);
        figure("  fed by the loader, each view decoded anew", "images/s", c->decoding_rate, "the bare step", c->rate,
               JUST_TOLD, 0);
    }
    figure("  peak of resident memory", "MB", c->peak_mb, NULL, 0, JUST_TOLD, 0);
    figure("  from a model to the first step, kernels measured", "s", c->open_s, NULL, 0, JUST_TOLD, 0);
}

static void compare(const struct contestant *ours, const struct contestant *peer, double times)
{
    char what[100], beside[100];
    snprintf(what, sizeof what, "rate, %s", ours->name);
    snprintf(beside, sizeof beside, "PyTorch, %s", peer->name);
    figure(what, "images/s", ours->rate, beside, peer->rate, AT_LEAST, times);
    figure("  peak of resident memory", "MB", ours->peak_mb, beside, peer->peak_mb, AT_MOST, 1);
}

static int run_all(const char *seconds, const char *dir, int rounds)
{
    struct contestant ours[OURS] = {{.name = "fp32"}, {.name = "auto"}},
                      peers[PEERS] = {{.name = "fp32"}, {.name = "bf16"}};
    char threads[16];

    snprintf(threads, sizeof threads, "%zu", cores_usable());
    setenv("OMP_NUM_THREADS", threads, 1);
    figures_begin("Training step, ResNet-18, stem small1, 32 pixels, 128 rows");
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < OURS; i++)
            if (!ask_ours(&ours[i], seconds, dir))
                return 1;
        ask_peers(peers, seconds, threads);
    }
    for (int i = 0; i < OURS; i++)
        report_ours(&ours[i], dir != NULL);
    if (peers[PEER_FP32].rate <= 0) {
        printf("PyTorch is left out: bench/peers/torch/step.py did not run (apt install python3-torch)\n");
        return figures_missed() > 0;
    }
    compare(&ours[OURS_FP32], &peers[PEER_FP32], 1.1);
    compare(&ours[ours[OURS_AUTO].rate > ours[OURS_FP32].rate ? OURS_AUTO : OURS_FP32],
            &peers[peers[PEER_BF16].rate > peers[PEER_FP32].rate ? PEER_BF16 : PEER_FP32], 1.8);
    return figures_missed() > 0;
}

int main(int argc, char **argv)
{
    json_init();
    if (argc > 3 && strcmp(argv[1], "--run") == 0)
        return run_alone(argv[2], atof(argv[3]), argc > 4 ? argv[4] : NULL);
    return run_all(argc > 1 ? argv[1] : "5", argc > 2 ? argv[2] : NULL, argc > 3 ? atoi(argv[3]) : 2);
}
