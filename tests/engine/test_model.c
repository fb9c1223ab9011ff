/* test_model.c - models: made, saved, loaded, imported, exported, fingerprinted; damaged ones refused. */
#include "tests/t.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/arch_resnet.h"
#include "engine/model.h"
#include "engine/safetensors.h"
#include "tests/lib/hashed_weights.h"

static const struct arch tiny = RESNET(18, SMALL1, 8, 0);
static const struct preprocess small_pictures = {
    .resize = 36, .size = 32, .filter = RESIZE_BICUBIC, .mean = {0.1f, 0.2f, 0.3f}, .std = {0.9f, 0.8f, 0.7f}};

static struct model *new_model(const struct arch *a, uint64_t seed)
{
    struct err e = {0};
    struct model *m = model_new_random(a, &small_pictures, seed, &e);
    assert_ok(m, e);
    return m;
}

static struct model *load(const char *path, bool *foreign)
{
    struct err e = {0};
    struct model *m = model_load(path, foreign, &e);
    assert_ok(m, e);
    return m;
}

static bool same_weights(const struct model *a, const struct model *b)
{
    bool same = a->n_weights == b->n_weights;
    for (size_t i = 0; same && i < a->n_weights; i++)
        same = strcmp(a->weights[i].name, b->weights[i].name) == 0 && a->weights[i].count == b->weights[i].count &&
               memcmp(a->weights[i].data, b->weights[i].data, a->weights[i].count * sizeof(float)) == 0;
    return same;
}

/* Gives the model one golden with a unit vector and a stand-in for its picture. */
static void add_golden(struct model *m)
{
    uint32_t n = arch_dimensions(&m->arch);
    m->goldens = mem_new(1, sizeof *m->goldens);
    m->n_goldens = 1;
    m->goldens[0].png = mem_dup("\x89PNG\0picture", 12);
    m->goldens[0].png_len = 12;
    m->goldens[0].vector = mem_new(n, sizeof(float));
    m->goldens[0].vector[2] = 0.6f;
    m->goldens[0].vector[n - 1] = -0.8f;
}

/* ---- building files by hand ---- */

struct entry {
    const char *name, *type;
    uint32_t rank;
    const uint32_t *shape;
    const void *data;
    size_t bytes;
};

struct entries {
    struct entry list[300];
    size_t n;
};

static struct entries *entries_of(const struct model *m)
{
    struct entries *es = mem_new(1, sizeof *es);
    for (; es->n < m->n_weights; es->n++) {
        const struct weight *w = &m->weights[es->n];
        es->list[es->n] = (struct entry){w->name, "F32", w->rank, w->shape, w->data, w->count * sizeof(float)};
    }
    return es;
}

static struct entry *entry_of(struct entries *es, const char *name)
{
    for (size_t i = 0; i < es->n; i++)
        if (strcmp(es->list[i].name, name) == 0)
            return &es->list[i];
    fail_msg("no entry %s", name);
    return NULL;
}

static struct buf file_of(const struct entries *es)
{
    struct buf header = {0}, out = {0};
    struct json_writer w = jw_to(&header);
    size_t at = 0;
    jw_object(&w, NULL);
    for (size_t i = 0; i < es->n; i++) {
        const struct entry *t = &es->list[i];
        jw_object(&w, t->name);
        jw_text(&w, "dtype", t->type);
        jw_array(&w, "shape");
        for (uint32_t d = 0; d < t->rank; d++)
            jw_int(&w, NULL, t->shape[d]);
        jw_end(&w);
        jw_array(&w, "data_offsets");
        jw_int(&w, NULL, (int64_t)at);
        jw_int(&w, NULL, (int64_t)(at += t->bytes));
        jw_end(&w);
        jw_end(&w);
    }
    jw_end(&w);
    uint64_t len = header.len;
    buf_add(&out, &len, sizeof len);
    buf_add(&out, header.data, header.len);
    for (size_t i = 0; i < es->n; i++)
        buf_add(&out, es->list[i].data, es->list[i].bytes);
    buf_clear(&header);
    return out;
}

/* The file must be refused, and the reason must hold `reason`. */
static void refused(const void *bytes, size_t len, const char *reason)
{
    struct err e = {0};
    struct model *m = model_parse(bytes, len, NULL, &e);
    if (m || e.code != ERR_BAD_INPUT || !strstr(e.text, reason))
        fail_msg("%s: %s %s", reason, m ? "accepted" : err_name(e.code), e.text);
}

static void entries_refused(struct entries *es, const char *reason)
{
    struct buf b = file_of(es);
    refused(b.data, b.len, reason);
    buf_clear(&b);
    free(es);
}

/* ---- making ---- */

static void the_same_seed_gives_the_same_model(void **state)
{
    UNUSED(state);
    struct model *a = new_model(&tiny, 7), *b = new_model(&tiny, 7), *c = new_model(&tiny, 8);
    assert_true(same_weights(a, b));
    assert_string_equal(a->fingerprint, b->fingerprint);
    assert_string_not_equal(a->fingerprint, c->fingerprint);
    assert_false(a->trained);
    model_free(a);
    model_free(b);
    model_free(c);
}

static double mean_square(const struct model *m, const char *name)
{
    const struct weight *w = model_weight(m, name);
    double sum = 0;
    assert_non_null(w);
    for (size_t i = 0; i < w->count; i++)
        sum += (double)w->data[i] * (double)w->data[i];
    return sum / (double)w->count;
}

static void random_weights_have_the_variance_of_he(void **state)
{
    UNUSED(state);
    const struct arch a = RESNET(50, IMAGENET, 16, 64);
    struct model *m = new_model(&a, 1);
    assert_true(fabs(mean_square(m, "layer3.0.conv2.weight") / (2.0 / (64 * 9)) - 1) < 0.03);
    assert_true(fabs(mean_square(m, "layer4.2.conv3.weight") / (2.0 / 512) - 1) < 0.03);
    assert_true(fabs(mean_square(m, "projection.weight") / (1.0 / 512) - 1) < 0.03);
    assert_true(mean_square(m, "layer1.0.bn2.running_var") == 1);
    assert_true(mean_square(m, "layer1.0.bn2.weight") == 1);
    assert_true(mean_square(m, "layer1.0.bn2.bias") == 0);
    assert_null(model_weight(m, "layer1.0.conv4.weight"));
    model_free(m);
}

static void impossible_models_are_not_made(void **state)
{
    UNUSED(state);
    struct err e;
    struct arch a = tiny;
    struct preprocess p = small_pictures;
    a.set[RESNET_WIDTH] = 7;
    assert_err(model_new_random(&a, &p, 1, &e), e, ERR_BAD_INPUT);
    p.size = 0;
    assert_err(model_new_random(&tiny, &p, 1, &e), e, ERR_BAD_INPUT);
}

/* ---- round trips ---- */

static void a_saved_model_reads_back_whole(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct err e = {0};
    const struct arch arch = RESNET(34, SMALL2, 8, 24);
    struct model *m = new_model(&arch, UINT64_MAX);
    bool foreign = true;

    add_golden(m);
    m->trained = true;
    m->created_at = 1700000000;
    memset(m->parent, 'a', HASH_HEX - 1);
    m->lineage = mem_text("{\"objective\":\"infonce\",\"metrics\":{\"recall@1\":0.5}}");
    snprintf(path, sizeof path, "%s/m.safetensors", dir);
    assert_ok(model_save(m, path, &e), e);
    struct model *got = load(path, &foreign);
    assert_false(foreign);
    assert_true(same_weights(m, got));
    assert_memory_equal(&got->arch, &m->arch, sizeof m->arch);
    assert_memory_equal(&got->pre, &m->pre, sizeof m->pre);
    assert_true(got->trained && got->seed == UINT64_MAX && got->created_at == 1700000000);
    assert_string_equal(got->parent, m->parent);
    assert_string_equal(got->lineage, m->lineage);
    assert_string_equal(got->fingerprint, m->fingerprint);
    assert_int_equal(got->n_goldens, 1);
    assert_int_equal(got->goldens[0].png_len, 12);
    assert_memory_equal(got->goldens[0].png, m->goldens[0].png, 12);
    assert_memory_equal(got->goldens[0].vector, m->goldens[0].vector, 24 * sizeof(float));
    model_free(got);
    model_free(m);
    t_remove_dir(dir);
}

static void a_torchvision_file_is_imported_as_it_is(void **state)
{
    UNUSED(state);
    static const uint32_t variants[] = {RESNET_18, RESNET_34, RESNET_50};
    static const uint32_t classes[] = {2, 64};
    static const int64_t batches = 42;
    static const float zeros[2 * 512];
    for (size_t i = 0; i < COUNT(variants); i++) {
        struct arch a = RESNET_OF(variants[i], STEM_IMAGENET, 16, 0);
        const uint32_t shape[] = {2, arch_features(&a)};
        struct model *m = new_model(&a, i);
        struct entries *es = entries_of(m);
        struct err e = {0};
        bool foreign = false;
        es->list[es->n++] = (struct entry){"bn1.num_batches_tracked", "I64", 0, NULL, &batches, 8};
        es->list[es->n++] = (struct entry){"fc.weight", "F32", 2, shape, zeros, 2 * 4 * (size_t)shape[1]};
        es->list[es->n++] = (struct entry){"fc.bias", "F32", 1, classes, zeros, 8};
        struct buf b = file_of(es);
        struct model *got = model_parse(b.data, b.len, &foreign, &e);
        assert_ok(got, e);
        assert_true(foreign && got->trained && got->n_goldens == 0);
        assert_memory_equal(&got->arch, &a, sizeof a);
        assert_memory_equal(&got->pre, &preprocess_imagenet, sizeof got->pre);
        assert_true(same_weights(m, got));
        model_free(got);
        model_free(m);
        buf_clear(&b);
        free(es);
    }
}

static void bfloat16_weights_are_widened(void **state)
{
    UNUSED(state);
    struct model *m = new_model(&tiny, 3);
    struct entries *es = entries_of(m);
    struct entry *conv = entry_of(es, "layer2.0.conv1.weight");
    size_t n = conv->bytes / 4;
    uint16_t *half = mem_new(n, sizeof *half);
    const float *from = conv->data;
    struct err e = {0};
    for (size_t i = 0; i < n; i++)
        memcpy(&half[i], (const char *)&from[i] + 2, 2); /* cut off, not rounded */
    conv->type = "BF16";
    conv->data = half;
    conv->bytes = n * 2;
    struct buf b = file_of(es);
    struct model *got = model_parse(b.data, b.len, NULL, &e);
    assert_ok(got, e);
    const struct weight *w = model_weight(got, "layer2.0.conv1.weight");
    for (size_t i = 0; i < n; i++)
        assert_true(fabsf(w->data[i] - from[i]) <= fabsf(from[i]) / 128);
    model_free(got);
    model_free(m);
    buf_clear(&b);
    free(half);
    free(es);
}

static void an_exported_model_is_one_that_torchvision_loads(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct arch a = RESNET(18, IMAGENET, 8, 12);
    struct model *m = new_model(&a, 5);
    struct err e = {0};
    bool foreign;
    snprintf(path, sizeof path, "%s/m", dir);
    assert_ok(model_export(m, path, &e), e);

    struct safetensors *s = safetensors_open(path, &e);
    assert_ok(s, e);
    assert_null(safetensors_metadata(s, "anchord", NULL));
    assert_null(safetensors_find(s, "projection.weight"));
    const struct safetensor *fc = safetensors_find(s, "fc.weight"), *bias = safetensors_find(s, "fc.bias");
    assert_true(fc && fc->rank == 2 && fc->shape[0] == 12 && fc->shape[1] == 64);
    assert_true(bias && bias->rank == 1 && bias->shape[0] == 12);
    float *got = mem_new(fc->count, sizeof *got);
    assert_ok(safetensors_read(s, fc, got, &e), e);
    assert_memory_equal(got, model_weight(m, "projection.weight")->data, fc->bytes);
    free(got);
    safetensors_close(s);

    struct model *back = load(path, &foreign); /* and we take it back, without the classifier */
    assert_true(foreign && back->arch.projection == 0 && back->n_weights == m->n_weights - 1);
    model_free(back);
    model_free(m);
    t_remove_dir(dir);
}

/* ---- the fingerprint ---- */

static void expect_other_fingerprint(struct model *m, const char *before, const char *what)
{
    model_seal(m);
    if (strcmp(m->fingerprint, before) == 0)
        fail_msg("the fingerprint does not depend on %s", what);
}

static void the_fingerprint_covers_what_decides_the_vectors_and_nothing_else(void **state)
{
    UNUSED(state);
    struct model *m = new_model(&tiny, 1);
    char before[HASH_HEX];
    memcpy(before, m->fingerprint, sizeof before);
    m->created_at = 5;
    m->seed = 9;
    m->trained = true;
    m->lineage = mem_text("{}");
    add_golden(m);
    model_seal(m);
    assert_string_equal(m->fingerprint, before);

    float *last = m->weights[m->n_weights - 1].data, kept = last[3];
    last[3] += 1e-3f;
    expect_other_fingerprint(m, before, "the last weights");
    last[3] = kept;
    m->arch.set[RESNET_STEM] = STEM_SMALL2;
    expect_other_fingerprint(m, before, "the stem's stride");
    m->arch.set[RESNET_STEM] = STEM_SMALL1;
    m->pre.std[2] *= 1.0001f;
    expect_other_fingerprint(m, before, "the preprocessing");
    m->pre = small_pictures;
    m->pre.filter = RESIZE_BILINEAR;
    expect_other_fingerprint(m, before, "the resize filter");
    m->pre = small_pictures;
    model_seal(m);
    assert_string_equal(m->fingerprint, before);
    model_free(m);
}

static void the_fit_is_a_part_of_the_file_unless_it_is_crop(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct err e = {0};
    struct model *m = new_model(&tiny, 5);
    char crop[HASH_HEX];
    memcpy(crop, m->fingerprint, sizeof crop);
    for (int fit = 0; fit_names[fit]; fit++) {
        m->pre = model_fit(&small_pictures, &m->arch, (enum fit)fit);
        model_seal(m);
        assert_int_equal(strcmp(m->fingerprint, crop) == 0, fit == FIT_CROP);
        snprintf(path, sizeof path, "%s/%s.safetensors", dir, fit_names[fit]);
        assert_ok(model_save(m, path, &e), e);
        struct model *got = load(path, NULL);
        assert_memory_equal(&got->pre, &m->pre, sizeof got->pre);
        assert_int_equal(got->pre.resize, fit == FIT_CROP ? 36 : 32);
        void *bytes;
        size_t len;
        assert_ok(file_read(path, 1 << 30, &bytes, &len, &e), e);
        assert_int_equal(memmem(bytes, len, "\\\"fit\\\"", 7) != NULL, fit != FIT_CROP);
        free(bytes);
        model_free(got);
    }
    model_free(m);
    t_remove_dir(dir);
}

/* ---- damage ---- */

static void strangers_and_gaps_are_named(void **state)
{
    UNUSED(state);
    struct model *m = new_model(&tiny, 1);
    struct entries *es = entries_of(m);
    entry_of(es, "layer3.1.bn2.bias")->name = "layer3.1.bn2.bies";
    entries_refused(es, "layer3.1.bn2.bies");

    es = entries_of(m);
    *entry_of(es, "layer4.1.bn2.running_var") = es->list[es->n - 2];
    es->n -= 2; /* the last two were layer4.1.bn2's mean and variance */
    entries_refused(es, "layer4.1.bn2.running_mean is missing");

    static const uint32_t turned[] = {3, 3, 8, 8};
    es = entries_of(m);
    entry_of(es, "layer1.1.conv2.weight")->shape = turned;
    entries_refused(es, "layer1.1.conv2.weight has the wrong shape");

    es = entries_of(m);
    entry_of(es, "conv1.weight")->name = "stem.weight";
    entries_refused(es, "not a ResNet");
    model_free(m);
}

static void a_file_of_ours_must_hold_no_classifier(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct err e = {0};
    struct model *m = new_model(&tiny, 1);
    snprintf(path, sizeof path, "%s/m", dir);
    m->weights[m->n_weights - 1].name = "fc.weight";
    assert_ok(model_save(m, path, &e), e);
    assert_err(model_load(path, NULL, &e), e, ERR_BAD_INPUT);
    assert_non_null(strstr(e.text, "fc.weight"));
    model_free(m);
    t_remove_dir(dir);
}

static void numbers_that_are_not_finite_are_refused(void **state)
{
    UNUSED(state);
    static const struct {
        const char *name;
        float value;
        const char *reason;
    } cases[] = {
        {"layer2.1.conv1.weight", NAN, "layer2.1.conv1.weight holds numbers that are not finite"},
        {"bn1.bias", INFINITY, "bn1.bias holds"},
        {"layer4.1.bn2.running_mean", -INFINITY, "layer4.1.bn2.running_mean holds"},
        {"layer1.0.bn1.running_var", -1e-9f, "layer1.0.bn1.running_var holds a negative variance"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model *m = new_model(&tiny, 1);
        const struct weight *w = model_weight(m, cases[i].name);
        w->data[w->count - 1] = cases[i].value;
        entries_refused(entries_of(m), cases[i].reason);
        model_free(m);
    }
}

static void saved_bytes(struct model *m, void **bytes, size_t *len)
{
    char *dir = t_make_dir(), path[300];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/m", dir);
    assert_ok(model_save(m, path, &e), e);
    assert_ok(file_read(path, SIZE_MAX, bytes, len, &e), e);
    t_remove_dir(dir);
}

static void a_model_cut_anywhere_is_refused(void **state)
{
    UNUSED(state);
    struct model *m = new_model(&tiny, 1);
    void *bytes;
    size_t len;
    saved_bytes(m, &bytes, &len);
    for (size_t n = 0; n < len; n += 64)
        refused(bytes, n, "");
    refused(bytes, len - 1, "");
    free(bytes);
    model_free(m);
}

static void a_flipped_bit_anywhere_is_noticed(void **state)
{
    UNUSED(state);
    struct model *m = new_model(&tiny, 1);
    struct rng r = rng_new(2);
    void *bytes;
    size_t len;
    uint64_t header;
    saved_bytes(m, &bytes, &len);
    memcpy(&header, bytes, 8);
    for (int i = 0; i < 60; i++) {
        unsigned char *p = (unsigned char *)bytes + 8 + header + rng_below(&r, len - 8 - header);
        *p ^= (unsigned char)(1u << (i % 8));
        refused(bytes, len, "");
        *p ^= (unsigned char)(1u << (i % 8));
    }
    free(bytes);
    model_free(m);
}

/* Replaces the first `from` in the header by `to`, which must be as long. */
static void edited_refused(const char *from, const char *to, const char *reason)
{
    struct model *m = new_model(&tiny, 1);
    void *bytes;
    size_t len;
    add_golden(m);
    saved_bytes(m, &bytes, &len);
    char *at = memmem(bytes, len, from, strlen(from));
    if (!at || strlen(from) != strlen(to))
        fail_msg("cannot edit %s to %s", from, to);
    memcpy(at, to, strlen(to));
    refused(bytes, len, reason);
    free(bytes);
    model_free(m);
}

static void metadata_that_make_no_sense_are_refused(void **state)
{
    UNUSED(state);
    edited_refused("\\\"format\\\":1", "\\\"format\\\":2", "format 2 is not known");
    edited_refused("\\\"format\\\"", "\\\"farmat\\\"", "");
    edited_refused("\\\"seed\\\"", "\\\"weed\\\"", "weed");
    edited_refused("resnet18", "resnet99", "resnet18, resnet34 or resnet50");
    edited_refused("resnet18", "resnet50", "");
    edited_refused("small1", "huge77", "stem");
    edited_refused("\\\"width\\\":8", "\\\"width\\\":9", "width");
    edited_refused("bicubic", "nearest", "filter");
    edited_refused("\\\"size\\\":32", "\\\"size\\\":99", "");
    edited_refused("\\\"size\\\":32", "\\\"size\\\":31", "fingerprint");
    edited_refused("\\\"mean\\\":[", "\\\"mean\\\":7", "");
    edited_refused("\\\"trained\\\":false", "\\\"trained\\\":12345", "trained");
    edited_refused("\\\"vector\\\":\\\"AAAAAA", "\\\"vector\\\":\\\"AAAAQA", "unit length");
    edited_refused("\\\"vector\\\":\\\"AAAA", "\\\"vector\\\":\\\"    ", "unit length");
    edited_refused("\\\"vector\\\":\\\"AAAA", "\\\"vector\\\":\\\"!!!!", "");
    edited_refused("\\\"png\\\"", "\\\"jpg\\\"", "jpg");
}

/* ---- memory ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(ANCHORD_TSAN)
enum { SANITIZED = 1 }; /* their shadow memory drowns what is measured */
#elif defined(__has_feature)
enum { SANITIZED = __has_feature(address_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

static size_t status_kb(const char *field)
{
    size_t kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    char line[200];
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, field, strlen(field)) == 0)
            kb = (size_t)strtoull(line + strlen(field), NULL, 10);
    fclose(f);
    return kb;
}

static void loading_takes_little_more_than_the_weights_and_freeing_gives_them_back(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct err e = {0};
    struct arch a;
    assert_ok(arch_parse("resnet18", &a, &e), e);
    struct model *m = model_new_random(&a, &preprocess_imagenet, 1, &e);
    assert_ok(m, e);
    snprintf(path, sizeof path, "%s/m", dir);
    assert_ok(model_save(m, path, &e), e);
    model_free(m);

    int fd = open("/proc/self/clear_refs", O_WRONLY);
    bool measurable = !SANITIZED && fd >= 0 && write(fd, "5", 1) == 1; /* resets the peak */
    close(fd);
    size_t before = status_kb("VmRSS:"), weights = 44800 * 1000 / 1024;
    m = load(path, NULL);
    size_t peak = status_kb("VmHWM:");
    model_free(m);
    size_t after = status_kb("VmRSS:");
    t_remove_dir(dir);
    if (!measurable)
        skip();
    if (peak > before + weights + 8000)
        fail_msg("loading %zu kB of weights took %zu kB", weights, peak - before);
    if (after > before + 2000)
        fail_msg("%zu kB were not given back", after - before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_model),
        cmocka_unit_test(random_weights_have_the_variance_of_he),
        cmocka_unit_test(impossible_models_are_not_made),
        cmocka_unit_test(a_saved_model_reads_back_whole),
        cmocka_unit_test(a_torchvision_file_is_imported_as_it_is),
        cmocka_unit_test(bfloat16_weights_are_widened),
        cmocka_unit_test(an_exported_model_is_one_that_torchvision_loads),
        cmocka_unit_test(the_fingerprint_covers_what_decides_the_vectors_and_nothing_else),
        cmocka_unit_test(the_fit_is_a_part_of_the_file_unless_it_is_crop),
        cmocka_unit_test(strangers_and_gaps_are_named),
        cmocka_unit_test(a_file_of_ours_must_hold_no_classifier),
        cmocka_unit_test(numbers_that_are_not_finite_are_refused),
        cmocka_unit_test(a_model_cut_anywhere_is_refused),
        cmocka_unit_test(a_flipped_bit_anywhere_is_noticed),
        cmocka_unit_test(metadata_that_make_no_sense_are_refused),
        cmocka_unit_test(loading_takes_little_more_than_the_weights_and_freeing_gives_them_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
