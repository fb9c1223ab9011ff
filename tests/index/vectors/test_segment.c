/* test_segment.c - sealed segments: search, growth, and files that may be damaged in any way. */
#include "tests/t.h"

#include <sys/mman.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "index/vectors/segment.h"
#include "tests/lib/vectors.h"

enum { D = 16, GENERATION = 5 };

/* The catalogue as far as a segment asks: number i + 1 has the vector i and the slot 3 i. */
struct world {
    size_t n;
    float *vectors;
    bool *gone;
    char *dir, path[320];
};

static void world_open(struct world *w, size_t n)
{
    *w = (struct world){.n = n,
                        .vectors = vectors_clustered(8, n, D, 1 + n / 20, 0.7),
                        .gone = mem_new(n, sizeof *w->gone),
                        .dir = t_make_dir()};
    snprintf(w->path, sizeof w->path, "%s/1.faiss", w->dir);
}

static void world_close(struct world *w)
{
    free(w->vectors);
    free(w->gone);
    t_remove_dir(w->dir);
}

static bool find(void *arg, int64_t number, size_t *slot, const float **row)
{
    struct world *w = arg;
    size_t i = (size_t)number - 1;
    if (number < 1 || i >= w->n || w->gone[i])
        return false;
    *slot = 3 * i;
    *row = w->vectors + i * D;
    return true;
}

static struct segment *build(struct world *w, const struct segment *base, size_t from, size_t to)
{
    struct members m = {.d = D};
    struct err e = {0};
    const atomic_bool stop = false;
    for (size_t i = from; i < to; i++)
        members_add(&m, 3 * i, (int64_t)i + 1, members_digest(w->vectors + i * D, D), w->vectors + i * D);
    struct segment *s = segment_build(base, &m, &stop, &e);
    assert_ok(s, e);
    members_clear(&m);
    return s;
}

/* How many of 50 vectors are found as their own nearest. */
static size_t self_found(const struct world *w, const struct segment *s, size_t of)
{
    size_t found = 0;
    for (size_t i = 0; i < 50; i++) {
        struct err e = {0};
        struct scored *best;
        size_t n, at = i * of / 50;
        struct segment_query q = {.vector = w->vectors + at * D, .k = 3, .ef = 32};
        assert_ok(segment_search(s, &q, &best, &n, &e), e);
        found += n > 0 && best[0].slot == 3 * at && best[0].score > 0.9999F;
        free(best);
    }
    return found;
}

static void a_segment_finds_its_members_also_after_growing(void **state)
{
    UNUSED(state);
    struct world w;
    world_open(&w, 900);
    struct segment *s = build(&w, NULL, 0, 400), *grown = build(&w, s, 400, 900);
    assert_int_equal(self_found(&w, s, 400), 50);
    assert_int_equal(segment_members(s)->n, 400);
    segment_release(s); /* the grown one owes it nothing */
    assert_int_equal(self_found(&w, grown, 900), 50);
    assert_int_equal(segment_members(grown)->n, 900);
    assert_true(segment_bytes(grown) > 900 * 64 * sizeof(int32_t));
    segment_release(grown);
    world_close(&w);
}

static void equal_vectors_share_a_row_and_are_found_together(void **state)
{
    UNUSED(state);
    struct world w;
    struct err e = {0};
    world_open(&w, 400);
    for (size_t i = 0; i < 400; i += 2) /* every other one is the same picture */
        memcpy(w.vectors + i * D, w.vectors, D * sizeof *w.vectors);
    struct segment *half = build(&w, NULL, 0, 200), *s = build(&w, half, 200, 400), *again;
    assert_int_equal(segment_members(s)->n, 400);
    assert_int_equal(segment_members(s)->n_rows, 201);
    assert_ok(segment_save(s, w.path, GENERATION, &e), e);
    w.gone[0] = w.gone[6] = true; /* the row outlives its first image */
    again = segment_load(w.path, GENERATION, D, find, &w, &e);
    assert_ok(again, e);
    assert_int_equal(segment_members(again)->n, 398);
    assert_int_equal(segment_members(again)->n_rows, 201);
    for (size_t round = 0; round < 2; round++) {
        struct scored *best;
        size_t n;
        struct segment_query q = {.vector = w.vectors, .k = 3, .ef = 16};
        assert_ok(segment_search(round ? again : s, &q, &best, &n, &e), e);
        assert_int_equal(n, round ? 200 : 202); /* all of that picture, and two others */
        for (size_t i = 0; i + 2 < n; i++)
            assert_true(best[i].slot % 6 == 0 && best[i].score > 0.9999F);
        free(best);
    }
    segment_release(half);
    segment_release(s);
    segment_release(again);
    world_close(&w);
}

static bool only_odd(const void *context, size_t slot)
{
    UNUSED(context);
    return slot / 3 % 2 == 1;
}

static void only_the_wanted_are_found_and_as_many_as_there_are(void **state)
{
    UNUSED(state);
    struct world w;
    world_open(&w, 300);
    struct segment *s = build(&w, NULL, 0, 300);
    struct scored *best;
    struct err e = {0};
    size_t n;
    struct segment_query q = {.vector = w.vectors, .k = 200, .ef = 200, .wanted = only_odd};
    assert_ok(segment_search(s, &q, &best, &n, &e), e);
    assert_int_equal(n, 150);
    for (size_t i = 0; i < n; i++) {
        assert_true(only_odd(NULL, best[i].slot));
        assert_true(i == 0 || best[i].score <= best[i - 1].score);
    }
    free(best);
    segment_release(s);
    world_close(&w);
}

static void building_stops_when_told(void **state)
{
    UNUSED(state);
    struct world w;
    struct members m = {.d = D};
    struct err e;
    const atomic_bool stop = true;
    world_open(&w, 10);
    for (size_t i = 0; i < w.n; i++)
        members_add(&m, i, (int64_t)i, i, w.vectors + i * D);
    assert_err(segment_build(NULL, &m, &stop, &e), e, ERR_BUSY);
    members_clear(&m);
    world_close(&w);
}

/* ---- files ---- */

static void save(struct world *w)
{
    struct err e = {0};
    struct segment *s = build(w, NULL, 0, w->n);
    assert_ok(segment_save(s, w->path, GENERATION, &e), e);
    segment_release(s);
}

static struct segment *load(struct world *w, struct err *e)
{
    *e = (struct err){0};
    return segment_load(w->path, GENERATION, D, find, w, e);
}

static void a_saved_segment_comes_back_as_it_was(void **state)
{
    UNUSED(state);
    struct world w;
    struct err e;
    world_open(&w, 500);
    save(&w);
    struct segment *s = load(&w, &e);
    assert_ok(s, e);
    assert_int_equal(segment_members(s)->n, 500);
    assert_int_equal(segment_members(s)->numbers[77], 78);
    assert_int_equal(segment_members(s)->slots[77], 3 * 77);
    assert_int_equal(self_found(&w, s, 500), 50);
    struct segment *grown = build(&w, s, 0, 1); /* and may grow */
    segment_release(grown);
    segment_release(s);
    world_close(&w);
}

static void files_of_others_are_refused(void **state)
{
    UNUSED(state);
    struct world w;
    struct err e;
    world_open(&w, 50);
    assert_err(segment_load(w.path, GENERATION, D, find, &w, &e), e, ERR_NOT_FOUND);
    save(&w);
    assert_err(segment_load(w.path, GENERATION + 1, D, find, &w, &e), e, ERR_CONFLICT);
    assert_err(segment_load(w.path, GENERATION, D + 1, find, &w, &e), e, ERR_CONFLICT);
    assert_err(segment_load(w.dir, GENERATION, D, find, &w, &e), e, ERR_IO);
    world_close(&w);
}

static void members_that_are_gone_or_changed_are_left_out_while_they_are_few(void **state)
{
    UNUSED(state);
    struct world w;
    struct err e;
    world_open(&w, 1000);
    save(&w);
    for (size_t i = 0; i < 1000; i += 20)
        w.gone[i] = true;
    for (size_t i = 10; i < 1000; i += 20)
        w.vectors[i * D] += 0.25F; /* replaced since */
    struct segment *s = load(&w, &e);
    assert_ok(s, e);
    assert_int_equal(segment_members(s)->n, 900);
    for (size_t i = 0; i < 900; i++)
        assert_true(segment_members(s)->slots[i] / 3 % 10 != 0);
    size_t found = 0;
    for (size_t i = 0; i < 1000; i += 20) { /* next to a gap */
        struct scored *best;
        size_t n;
        struct segment_query q = {.vector = w.vectors + (i + 1) * D, .k = 1, .ef = 32};
        assert_ok(segment_search(s, &q, &best, &n, &e), e);
        found += n == 1 && best[0].slot == 3 * (i + 1);
        free(best);
    }
    assert_true(found >= 49);
    segment_release(s);
    w.gone[1] = true;
    assert_err(load(&w, &e), e, ERR_STALE);
    memset(w.gone, true, w.n);
    assert_err(load(&w, &e), e, ERR_STALE);
    world_close(&w);
}

/* The bytes of a saved segment.  From here on w->path is a file in memory: thousands will follow. */
static unsigned char *saved_bytes(struct world *w, int *fd, size_t *len)
{
    void *data;
    struct err e = {0};
    save(w);
    assert_ok(file_read(w->path, 1 << 20, &data, len, &e), e);
    *fd = memfd_create("segment", MFD_CLOEXEC);
    assert_true(*fd >= 0);
    snprintf(w->path, sizeof w->path, "/proc/self/fd/%d", *fd);
    return data;
}

static void put_file(int fd, const void *data, size_t len)
{
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, data, len, 0), (ssize_t)len);
}

static void every_truncation_and_every_flipped_bit_is_refused(void **state)
{
    UNUSED(state);
    struct world w;
    struct err e;
    size_t len;
    int fd;
    world_open(&w, 12);
    unsigned char *data = saved_bytes(&w, &fd, &len);
    for (size_t i = 0; i < len; i++) {
        put_file(fd, data, i);
        assert_err(load(&w, &e), e, ERR_CORRUPT);
    }
    for (size_t i = 0; i < len; i++) {
        data[i] ^= (unsigned char)(1 << i % 8);
        put_file(fd, data, len);
        assert_err(load(&w, &e), e, ERR_CORRUPT);
        data[i] ^= (unsigned char)(1 << i % 8);
    }
    put_file(fd, data, len);
    struct segment *s = load(&w, &e);
    assert_ok(s, e); /* unharmed it is accepted */
    segment_release(s);
    free(data);
    close(fd);
    world_close(&w);
}

/* The checksum guards against accidents; whoever can forge it must still not be able to crash us. */
static void a_forged_checksum_does_not_make_a_damaged_file_dangerous(void **state)
{
    UNUSED(state);
    struct world w;
    struct err e;
    size_t len, accepted = 0;
    int fd;
    world_open(&w, 60);
    unsigned char *data = saved_bytes(&w, &fd, &len);
    struct rng r = rng_new(9);
    w.gone[7] = w.gone[33] = true; /* so that the links are also walked along to prune them */
    for (size_t round = 0; round < 6000; round++) {
        unsigned char *bad = mem_dup(data, len);
        for (size_t changes = 1 + rng_below(&r, 3); changes > 0; changes--) {
            size_t at = rng_below(&r, round % 2 ? 64 : len - HASH_SIZE);
            bad[at] = (unsigned char)(rng_below(&r, 2) ? rng_next(&r) : bad[at] ^ 1);
        }
        hash_bytes(bad, len - HASH_SIZE, bad + len - HASH_SIZE);
        put_file(fd, bad, len);
        struct segment *s = load(&w, &e);
        if (s) {
            accepted++;
            self_found(&w, s, w.n); /* may find little, but comes to an end */
        } else {
            assert_true(e.code == ERR_CORRUPT || e.code == ERR_CONFLICT || e.code == ERR_STALE);
        }
        segment_release(s);
        free(bad);
    }
    assert_true(accepted > 0);
    free(data);
    close(fd);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_finds_its_members_also_after_growing),
        cmocka_unit_test(equal_vectors_share_a_row_and_are_found_together),
        cmocka_unit_test(only_the_wanted_are_found_and_as_many_as_there_are),
        cmocka_unit_test(building_stops_when_told),
        cmocka_unit_test(a_saved_segment_comes_back_as_it_was),
        cmocka_unit_test(files_of_others_are_refused),
        cmocka_unit_test(members_that_are_gone_or_changed_are_left_out_while_they_are_few),
        cmocka_unit_test(every_truncation_and_every_flipped_bit_is_refused),
        cmocka_unit_test(a_forged_checksum_does_not_make_a_damaged_file_dangerous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
