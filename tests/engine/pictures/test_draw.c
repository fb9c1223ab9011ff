/* test_draw.c - drawn pictures: the same for a seed, alike within a kind, unlike between kinds. */
#include "tests/t.h"

#include "engine/pictures/draw.h"
#include "engine/pictures/preprocess.h"

static void a_seed_gives_the_same_picture_and_another_seed_another(void **state)
{
    UNUSED(state);
    for (uint32_t kind = 0; kind < DRAW_KINDS; kind++) {
        struct err e = {0};
        struct image a, b, c;
        assert_ok(draw_picture(kind, 1, 48, &a, &e), e);
        assert_ok(draw_picture(kind, 1, 48, &b, &e), e);
        assert_ok(draw_picture(kind, 2, 48, &c, &e), e);
        assert_memory_equal(a.rgb, b.rgb, 48 * 48 * 3);
        assert_memory_not_equal(a.rgb, c.rgb, 48 * 48 * 3);
        image_clear(&a);
        image_clear(&b);
        image_clear(&c);
    }
}

/* How often each of 8 x 8 x 8 colours occurs. */
static void histogram(uint32_t kind, uint64_t seed, double *out)
{
    struct err e = {0};
    struct image img;
    memset(out, 0, 512 * sizeof *out);
    assert_ok(draw_picture(kind, seed, 64, &img, &e), e);
    for (size_t i = 0; i < 64 * 64; i++)
        out[img.rgb[i * 3] / 32 * 64 + img.rgb[i * 3 + 1] / 32 * 8 + img.rgb[i * 3 + 2] / 32] += 1.0 / (64 * 64);
    image_clear(&img);
}

static double overlap(const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < 512; i++)
        sum += fmin(a[i], b[i]);
    return sum;
}

/* Colours alone tell the kinds apart more often than not; an encoder sees shapes too. */
static void the_nearest_picture_by_colour_is_mostly_of_the_same_kind(void **state)
{
    enum { EACH = 4, N = DRAW_KINDS * EACH };
    static double seen[N][512];
    size_t right = 0;
    UNUSED(state);
    for (uint32_t i = 0; i < N; i++)
        histogram(i / EACH, 100 + i % EACH, seen[i]);
    for (size_t i = 0; i < N; i++) {
        size_t best = i == 0 ? 1 : 0;
        for (size_t j = 0; j < N; j++)
            if (j != i && overlap(seen[i], seen[j]) > overlap(seen[i], seen[best]))
                best = j;
        right += best / EACH == i / EACH;
    }
    if (right * 2 <= N)
        fail_msg("%zu of %d", right, N);
}

static void kinds_have_names_that_differ_and_strangers_are_refused(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img;
    for (uint32_t i = 0; i < DRAW_KINDS; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(draw_kind_name(i), draw_kind_name(j));
    assert_err(draw_picture(DRAW_KINDS, 1, 64, &img, &e), e, ERR_BAD_INPUT);
    assert_err(draw_picture(0, 1, 7, &img, &e), e, ERR_BAD_INPUT);
    assert_err(draw_picture(0, 1, 4097, &img, &e), e, ERR_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_same_picture_and_another_seed_another),
        cmocka_unit_test(the_nearest_picture_by_colour_is_mostly_of_the_same_kind),
        cmocka_unit_test(kinds_have_names_that_differ_and_strangers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
