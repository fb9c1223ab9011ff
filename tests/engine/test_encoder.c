/* test_encoder.c - encoders and lanes: precisions, backends, batches, pictures to vectors, goldens. */
#include "tests/t.h"

#include <pthread.h>

#include "base/mem.h"
#include "engine/arch_resnet.h"
#include "engine/encoder.h"
#include "engine/pictures/draw.h"
#include "tests/lib/embedding_error.h"
#include "tests/lib/hashed_weights.h"
#include "tests/lib/pictures.h"

enum { SIZE = 48, D = 64 };

static const char *program; /* this one */

static const struct arch small = RESNET(18, SMALL2, 8, 0);

static const struct encoder_options all_options[] = {
    {PRECISION_FP32, BACKEND_BLAS},
    {PRECISION_FP32, BACKEND_AUTO},
    {PRECISION_AUTO, BACKEND_AUTO},
};

static struct encoder *make(const struct model *m, struct encoder_options o)
{
    struct err e = {0};
    struct encoder *enc = encoder_new(m, &o, &e);
    assert_ok(enc, e);
    return enc;
}

static struct lane *make_lane(struct encoder *enc, size_t batch)
{
    struct err e = {0};
    struct lane *lane = lane_new(enc, batch, &e);
    assert_ok(lane, e);
    return lane;
}

static double one_minus_cos(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return 1 - sum;
}

static struct buf draw_jpeg(uint32_t kind, uint32_t side)
{
    struct err e = {0};
    struct image img = {0};
    struct buf jpeg = {0};
    assert_ok(draw_picture(kind, 1, side, &img, &e) && image_write_jpeg(&img, 90, &jpeg, &e), e);
    image_clear(&img);
    return jpeg;
}

static void an_encoder_tells_what_it_is(void **state)
{
    UNUSED(state);
    struct model *m = hashed_model(&small, SIZE);
    struct encoder *enc = make(m, (struct encoder_options){PRECISION_FP32, BACKEND_BLAS});
    assert_int_equal(encoder_dimensions(enc), D);
    assert_string_equal(encoder_fingerprint(enc), m->fingerprint);
    assert_int_equal(encoder_preprocess(enc)->size, SIZE);
    assert_int_equal(encoder_precision(enc), PRECISION_FP32);
    encoder_release(enc);
    enc = make(m, (struct encoder_options){0});
    assert_int_not_equal(encoder_precision(enc), PRECISION_AUTO);
    encoder_release(enc);
    model_free(m);
}

/* The precision that this program picks when its processor is said to have no more than `isa`; NULL: all that it has. */
static enum precision picked(const char *isa)
{
    char command[600], word[16] = "";
    snprintf(command, sizeof command, "%s%s '%s' precision", isa ? "ONEDNN_MAX_CPU_ISA=" : "env", isa ? isa : "",
             program);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%15s", word), 1);
    assert_int_equal(pclose(f), 0);
    return strcmp(word, "bf16") == 0 ? PRECISION_BF16 : PRECISION_FP32;
}

static void bf16_is_picked_where_it_pays(void **state)
{
    UNUSED(state);
    char line[4096];
    bool amx = false, bf16 = false, amd = false;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        amx = amx || strstr(line, " amx_bf16");
        bf16 = bf16 || strstr(line, " avx512_bf16");
        amd = amd || strstr(line, "AuthenticAMD");
    }
    assert_non_null(f);
    fclose(f);
    assert_int_equal(picked(NULL), ANCHORD_ONEDNN && (amx || (bf16 && amd)) ? PRECISION_BF16 : PRECISION_FP32);
    assert_int_equal(picked("AVX512_CORE"), PRECISION_FP32);
    assert_int_equal(picked("AVX512_CORE_BF16"), ANCHORD_ONEDNN && bf16 && amd ? PRECISION_BF16 : PRECISION_FP32);
}

static void what_is_not_to_be_had_is_refused(void **state)
{
    UNUSED(state);
    struct err e;
    struct model *m = hashed_model(&small, SIZE);
    assert_err(encoder_new(m, &(struct encoder_options){PRECISION_BF16, BACKEND_BLAS}, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "precision");
#if !ANCHORD_ONEDNN
    assert_err(encoder_new(m, &(struct encoder_options){PRECISION_AUTO, BACKEND_DNNL}, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "backend");
#endif
    model_free(m);
}

static void an_encoder_lives_as_long_as_its_last_lane(void **state)
{
    UNUSED(state);
    struct err e = {0};
    float vector[D], *pixels = hashed_picture(1, SIZE);
    struct model *m = hashed_model(&small, SIZE);
    struct encoder *enc = make(m, (struct encoder_options){0});
    model_free(m);
    struct lane *lane = make_lane(enc, 1);
    assert_ptr_equal(lane_encoder(lane), enc);
    encoder_release(encoder_share(enc));
    encoder_release(enc);
    assert_ok(lane_forward(lane, pixels, 1, vector, &e), e);
    lane_free(lane);
    free(pixels);
}

static void any_number_of_pictures_goes_through_a_lane(void **state)
{
    UNUSED(state);
    enum { N = 7 };
    struct err e = {0};
    struct model *m = hashed_model(&small, SIZE);
    static float pixels[N * SIZE * SIZE * 3], got[N * D], want[N * D];
    for (unsigned i = 0; i < N; i++) {
        float *picture = hashed_picture(i, SIZE);
        memcpy(pixels + i * SIZE * SIZE * 3, picture, sizeof pixels / N);
        free(picture);
    }
    struct encoder *enc = make(m, all_options[1]);
    struct lane *one = make_lane(enc, 1), *three = make_lane(enc, 3);
    assert_ok(lane_forward(one, pixels, N, want, &e), e);
    assert_ok(lane_forward(three, pixels, N, got, &e), e);
    assert_close("three at once", got, want, N * D, 1e-5);
    assert_true(one_minus_cos(want, want + (N - 1) * D, D) > 1e-4);
    lane_free(one);
    lane_free(three);
    encoder_release(enc);
    model_free(m);
}

static void a_picture_becomes_a_unit_vector(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct model *m = hashed_model(&small, SIZE);
    struct buf jpeg = draw_jpeg(2, 200);
    for (size_t i = 0; i < COUNT(all_options); i++) {
        float vector[D], by_hand[D], pixels[SIZE * SIZE * 3], zero[D] = {0};
        struct image img;
        struct image_info info;
        struct encoder *enc = make(m, all_options[i]);
        struct lane *lane = make_lane(enc, 1);
        assert_ok(lane_embed(lane, jpeg.data, jpeg.len, &image_default_limits, vector, &info, &e), e);
        assert_int_equal(info.width, 200);
        assert_int_equal(info.format, IMAGE_JPEG);
        assert_true(fabs(one_minus_cos(vector, vector, D)) < 1e-6);
        assert_memory_not_equal(vector, zero, sizeof zero);

        assert_ok(image_decode(jpeg.data, jpeg.len, &image_default_limits, m->pre.resize, &img, &e), e);
        assert_ok(preprocess_run(&m->pre, &img, pixels, &e), e);
        assert_ok(lane_forward(lane, pixels, 1, by_hand, &e), e);
        assert_memory_equal(vector, by_hand, sizeof vector);
        image_clear(&img);
        lane_free(lane);
        encoder_release(enc);
    }
    buf_clear(&jpeg);
    model_free(m);
}

/* What a JPEG decodes to at full size, as a PNG. */
static struct buf as_png(const struct buf *jpeg)
{
    struct err e = {0};
    struct image img = {0};
    struct buf png = {0};
    assert_ok(
        image_decode(jpeg->data, jpeg->len, &image_default_limits, 0, &img, &e) && image_write_png(&img, &png, &e), e);
    image_clear(&img);
    return png;
}

/* DCT scaling works in powers of two: it is at its worst where a power times the network's side is just reached. */
static void a_jpeg_of_any_size_has_the_vector_of_its_pixels(void **state)
{
    enum { N = 8 };
    static const double factors[] = {0.5, 2, 2.1, 4, 8};
    static float of_jpeg[N * D], of_png[N * D];
    UNUSED(state);
    struct err e = {0};
    struct model *m = hashed_model(&small, SIZE);
    struct encoder *enc = make(m, all_options[1]);
    struct lane *lane = make_lane(enc, 1);
    for (size_t s = 0; s < COUNT(factors); s++) {
        const uint32_t side = (uint32_t)(factors[s] * encoder_preprocess(enc)->resize);
        for (uint32_t i = 0; i < N; i++) {
            struct image img;
            struct buf jpeg = {0};
            assert_ok(draw_picture(i, 1, side, &img, &e), e);
            t_jpeg(&img, &(struct jpeg_form){.quality = 95}, &jpeg);
            struct buf png = as_png(&jpeg);
            assert_ok(lane_embed(lane, jpeg.data, jpeg.len, &image_default_limits, of_jpeg + i * D, NULL, &e), e);
            assert_ok(lane_embed(lane, png.data, png.len, &image_default_limits, of_png + i * D, NULL, &e), e);
            image_clear(&img);
            buf_clear(&jpeg);
            buf_clear(&png);
        }
        const struct embedding_error r = embedding_error(of_png, of_jpeg, N, D);
        print_message("%u pixels: relative embedding error %.2g, largest %.2g\n", side, r.median, r.largest);
        if (!(r.largest <= 0.02))
            fail_msg("%u pixels: relative embedding error %g", side, r.largest);
    }
    lane_free(lane);
    encoder_release(enc);
    model_free(m);
}

static void a_bad_picture_is_refused_and_the_lane_goes_on(void **state)
{
    UNUSED(state);
    struct err e;
    struct model *m = hashed_model(&small, SIZE);
    struct buf jpeg = draw_jpeg(2, 200);
    struct encoder *enc = make(m, all_options[2]);
    struct lane *lane = make_lane(enc, 1);
    struct image_limits tight = image_default_limits;
    float vector[D];
    tight.pixels = 100;
    assert_err(lane_embed(lane, "no picture", 10, &image_default_limits, vector, NULL, &e), e, ERR_MEDIA_TYPE);
    assert_err(lane_embed(lane, jpeg.data, jpeg.len / 2, &image_default_limits, vector, NULL, &e), e, ERR_UNDECODABLE);
    assert_err(lane_embed(lane, jpeg.data, jpeg.len, &tight, vector, NULL, &e), e, ERR_TOO_LARGE);
    e = (struct err){0};
    assert_ok(lane_embed(lane, jpeg.data, jpeg.len, &image_default_limits, vector, NULL, &e), e);
    lane_free(lane);
    encoder_release(enc);
    buf_clear(&jpeg);
    model_free(m);
}

struct worker {
    struct encoder *enc;
    const float *pixels;
    float vector[D];
    bool ok;
};

static void *embed_again_and_again(void *argument)
{
    struct worker *w = argument;
    struct err e = {0};
    struct lane *lane = lane_new(w->enc, 1, &e);
    float again[D];
    w->ok = lane && lane_forward(lane, w->pixels, 1, w->vector, &e);
    for (size_t i = 0; w->ok && i < 20; i++)
        w->ok = lane_forward(lane, w->pixels, 1, again, &e) && memcmp(again, w->vector, sizeof again) == 0;
    lane_free(lane);
    return NULL;
}

static void lanes_in_many_threads_give_the_same_bits(void **state)
{
    UNUSED(state);
    enum { THREADS = 4 };
    struct model *m = hashed_model(&small, SIZE);
    float *pixels = hashed_picture(1, SIZE);
    for (size_t i = 0; i < COUNT(all_options); i++) {
        struct encoder *enc = make(m, all_options[i]);
        struct worker workers[THREADS];
        pthread_t threads[THREADS];
        for (size_t t = 0; t < THREADS; t++) {
            workers[t] = (struct worker){.enc = enc, .pixels = pixels};
            assert_int_equal(pthread_create(&threads[t], NULL, embed_again_and_again, &workers[t]), 0);
        }
        for (size_t t = 0; t < THREADS; t++) {
            pthread_join(threads[t], NULL);
            assert_true(workers[t].ok);
            assert_memory_equal(workers[t].vector, workers[0].vector, sizeof workers[0].vector);
        }
        encoder_release(enc);
    }
    free(pixels);
    model_free(m);
}

static void goldens_prove_the_model_they_were_made_with(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct model *m = hashed_model(&small, SIZE);
    double worst;
    assert_ok(encoder_make_goldens(m, &e), e);
    assert_ok(encoder_make_goldens(m, &e), e); /* again: replaced, not added */
    assert_true(m->n_goldens >= 4 && m->n_goldens <= MODEL_GOLDENS_MAX);
    for (size_t i = 0; i < COUNT(all_options); i++) {
        struct encoder *enc = make(m, all_options[i]);
        assert_ok(encoder_check(enc, m, &worst, &e), e);
        print_message("goldens deviate by %.1e\n", worst);
        assert_true(worst <= (encoder_precision(enc) == PRECISION_BF16 ? 0.02 : 1e-3));
        encoder_release(enc);
    }
    model_free(m);
}

static void a_changed_weight_is_found_out_by_the_goldens(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct model *m = hashed_model(&small, SIZE);
    double worst;
    assert_ok(encoder_make_goldens(m, &e), e);
    for (size_t i = 0; i < m->weights[5].count; i++)
        m->weights[5].data[i] *= 1.1f;
    struct encoder *enc = make(m, all_options[1]);
    assert_err(encoder_check(enc, m, &worst, &e), e, ERR_CORRUPT);
    assert_true(worst > 1e-3);
    encoder_release(enc);
    model_free(m);
}

static void a_model_without_goldens_fails_the_check(void **state)
{
    UNUSED(state);
    struct err e;
    struct model *m = hashed_model(&small, SIZE);
    struct encoder *enc = make(m, all_options[1]);
    double worst;
    assert_err(encoder_check(enc, m, &worst, &e), e, ERR_CORRUPT);
    encoder_release(enc);
    model_free(m);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc > 1) { /* what picked() runs */
        enum backend backend = BACKEND_AUTO;
        enum precision precision = PRECISION_AUTO;
        puts(backend_settle(&backend, &precision, NULL) && precision == PRECISION_BF16 ? "bf16" : "fp32");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_encoder_tells_what_it_is),
        cmocka_unit_test(bf16_is_picked_where_it_pays),
        cmocka_unit_test(what_is_not_to_be_had_is_refused),
        cmocka_unit_test(an_encoder_lives_as_long_as_its_last_lane),
        cmocka_unit_test(any_number_of_pictures_goes_through_a_lane),
        cmocka_unit_test(a_picture_becomes_a_unit_vector),
        cmocka_unit_test(a_jpeg_of_any_size_has_the_vector_of_its_pixels),
        cmocka_unit_test(a_bad_picture_is_refused_and_the_lane_goes_on),
        cmocka_unit_test(lanes_in_many_threads_give_the_same_bits),
        cmocka_unit_test(goldens_prove_the_model_they_were_made_with),
        cmocka_unit_test(a_changed_weight_is_found_out_by_the_goldens),
        cmocka_unit_test(a_model_without_goldens_fails_the_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
