/* test_corpus.c - a corpus of hostile pictures, made by damaging drawn ones of every form in every systematic way, sent
 * to the running server: each is embedded or refused with a reason, none takes long, none brings it down.
 *
 * The damage is the same in each run.
 */
#include "tests/t.h"

#include "base/rng.h"
#include "tests/lib/expect.h"
#include "tests/lib/pictures.h"
#include "tests/lib/results_table.h"

enum { SIDE = 96, FORMS_MAX = 24, STEPS = 32 };

static struct server server;
static struct buf originals[FORMS_MAX];
static size_t n_originals;

/* ---- the whole ones ---- */

static struct buf *add_original(void)
{
    assert_true(n_originals < FORMS_MAX);
    return &originals[n_originals++];
}

static void make_originals(void)
{
    static const struct jpeg_form jpegs[] = {
        {0},
        {.progressive = true},
        {.colours = JPEG_GREY},
        {.colours = JPEG_RGB},
        {.colours = JPEG_CMYK},
        {.colours = JPEG_YCCK, .progressive = true},
        {.arithmetic = true},
        {.deep_tables = true, .progressive = true},
        {.restart = 2},
        {.across = 4, .down = 1},
        {.across = 1, .down = 2, .progressive = true},
    };
    static const struct png_form pngs[] = {
        {2, 8, false, false}, {6, 8, true, false},   {0, 1, false, true},
        {3, 2, true, true},   {4, 16, false, false}, {2, 16, true, true},
    };
    struct image img = t_picture(7, SIDE, SIDE);
    for (size_t i = 0; i < COUNT(jpegs); i++)
        t_jpeg(&img, &jpegs[i], add_original());
    for (size_t i = 0; i < COUNT(pngs); i++)
        t_png(&img, &pngs[i], add_original());
    for (int i = 0; i < 4; i++)
        t_webp(&img, i % 2, i / 2, add_original());
    struct buf exif = {0}, *turned = add_original();
    t_jpeg(&img, &jpegs[0], turned);
    t_exif(6, true, &exif);
    t_insert(turned, 2, exif.data, exif.len);
    buf_clear(&exif);
    image_clear(&img);
}

static int start(void **state)
{
    UNUSED(state);
    expect_start(&server, &(struct server_options){0});
    make_originals();
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < n_originals; i++)
        buf_clear(&originals[i]);
    expect_stop(&server);
    return 0;
}

/* ---- ways to damage one; `step` of `steps` says where ---- */

static size_t place(const struct buf *b, size_t step, size_t steps)
{
    return b->len * step / steps;
}

/* Somewhere in the pixels: the last 12 bytes may be an end chunk, which nobody needs. */
static void cut(struct buf *b, size_t step, size_t steps)
{
    b->len -= min_size(b->len, 12);
    b->len = place(b, step, steps);
}

static void cut_from_the_front(struct buf *b, size_t step, size_t steps)
{
    size_t n = place(b, step, steps);
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

static void drop_the_middle(struct buf *b, size_t step, size_t steps)
{
    size_t at = place(b, step, steps), n = min_size(b->len - at, 1 + step * 7 % 64);
    memmove(b->data + at, b->data + at + n, b->len - at - n);
    b->len -= n;
}

static void flip_a_bit(struct buf *b, size_t step, size_t steps)
{
    b->data[place(b, step, steps)] ^= (char)(1 << step % 8);
}

static void set_a_byte(struct buf *b, size_t step, size_t steps)
{
    static const unsigned char values[] = {0x00, 0xff, 0x7f, 0x80, 0xd9, 0xda, 0xc4};
    b->data[place(b, step, steps)] = (char)values[step % COUNT(values)];
}

/* Counts, lengths and sizes are numbers of two and four bytes: the largest there are. */
static void set_a_number(struct buf *b, size_t step, size_t steps)
{
    size_t at = place(b, step, steps), n = min_size(step % 2 ? 2 : 4, b->len - at);
    memset(b->data + at, step % 3 ? 0xff : 0x00, n);
}

static void repeat_a_part(struct buf *b, size_t step, size_t steps)
{
    size_t at = place(b, step, steps), n = min_size(b->len - at, 1 + step * 131 % 4096);
    char *part = malloc(n);
    memcpy(part, b->data + at, n);
    t_insert(b, at, part, n);
    free(part);
}

static void swap_two_parts(struct buf *b, size_t step, size_t steps)
{
    size_t at = place(b, step, steps), n = min_size(64, (b->len - at) / 2);
    for (size_t i = 0; i < n; i++) {
        char first = b->data[at + i];
        b->data[at + i] = b->data[at + n + i];
        b->data[at + n + i] = first;
    }
}

static void put_noise(struct buf *b, size_t step, size_t steps)
{
    struct rng rng = rng_for(1, step, b->len);
    size_t at = place(b, step, steps), n = min_size(32, b->len - at);
    for (size_t i = 0; i < n; i++)
        b->data[at + i] = (char)rng_below(&rng, 256);
}

/* The beginning of one and the end of another. */
static void graft(struct buf *b, size_t step, size_t steps)
{
    const struct buf *other = &originals[step % n_originals];
    size_t at = place(b, step, steps), from = place(other, step, steps);
    b->len = at;
    buf_add(b, other->data + from, other->len - from);
}

static const struct way {
    const char *name;
    void (*damage)(struct buf *b, size_t step, size_t steps);
} ways[] = {
    {"cut off", cut},
    {"cut from the front", cut_from_the_front},
    {"a piece missing", drop_the_middle},
    {"one bit flipped", flip_a_bit},
    {"one byte set", set_a_byte},
    {"a number set to its limit", set_a_number},
    {"a part twice", repeat_a_part},
    {"two parts swapped", swap_two_parts},
    {"noise in 32 bytes", put_noise},
    {"the end of another picture", graft},
};

/* ---- sending them ---- */

struct tally {
    size_t embedded, refused, other;
    double slowest; /* seconds of a processor */
};

static void send_one(struct client *c, const struct buf *b, struct tally *t)
{
    struct reply r = {0};
    const double before = server_cpu(&server);
    client_ask(c,
               &(struct ask){.method = "POST",
                             .target = "/v1/embeddings",
                             .type = "image/jpeg",
                             .body = b->data ? b->data : "",
                             .len = b->len,
                             .timeout = 30},
               &r);
    bool refusal = r.status == 400 || r.status == 413 || r.status == 415 || r.status == 422;
    if (r.status == 200)
        t->embedded++;
    else if (refusal && reply_is_error_object(&r))
        t->refused++;
    else
        t->other++;
    t->slowest = fmax(t->slowest, server_cpu(&server) - before);
    reply_clear(&r);
}

static struct tally send_all(const struct way *w)
{
    struct client c = client_to(server.port);
    struct tally t = {0};
    for (size_t i = 0; i < n_originals; i++)
        for (size_t step = 0; step < STEPS; step++) {
            struct buf b = {0};
            buf_add(&b, originals[i].data, originals[i].len);
            w->damage(&b, step, STEPS);
            send_one(&c, &b, &t);
            buf_clear(&b);
        }
    client_close(&c);
    return t;
}

static void whole_ones_are_embedded(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    struct tally t = {0};
    for (size_t i = 0; i < n_originals; i++)
        send_one(&c, &originals[i], &t);
    client_close(&c);
    assert_int_equal(t.embedded, n_originals);
}

static void damaged_ones_are_embedded_or_refused_and_none_takes_long(void **state)
{
    UNUSED(state);
    int before = results_bad();
    char what[100];
    result_section("Images: a corpus of damaged ones (JPEG, PNG and WebP in 22 forms)");
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct tally t = send_all(&ways[i]);
        bool none_passes = ways[i].damage != cut || t.embedded == 0;
        snprintf(what, sizeof what, "%zu pictures, %s", n_originals * STEPS, ways[i].name);
        result_row(
            t.other == 0 && none_passes && t.slowest < 1.0 * T_SLOWER && server_alive(&server), what,
            ways[i].damage == cut ? "each refused, in less than 1 s" : "each embedded or refused, in less than 1 s",
            "%zu embedded, %zu refused, %zu other, slowest %.0f ms", t.embedded, t.refused, t.other, t.slowest * 1e3);
    }
    assert_int_equal(results_bad(), before);
    struct client c = client_to(server.port);
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/readyz"});
    client_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_ones_are_embedded),
        cmocka_unit_test(damaged_ones_are_embedded_or_refused_and_none_takes_long),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
