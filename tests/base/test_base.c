/* test_base.c - errors, arena, buffers, files, base64, random numbers, the pool. */
#include "tests/t.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"

static void the_first_error_wins_and_context_goes_in_front(void **state)
{
    UNUSED(state);
    struct err e = {0};
    assert_false(err_set(&e, ERR_NOT_FOUND, "no image %s", "a"));
    assert_false(err_set(&e, ERR_IO, "another"));
    assert_false(err_wrap(&e, "deleting"));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_string_equal(e.text, "deleting: no image a");
    struct err field = {0};
    err_field(&field, "wi\x1b\nth", "must be a number");
    assert_false(err_unfield(&field));
    assert_string_equal(field.text, "wi??th: must be a number");
    assert_string_equal(field.param, "");
    struct err why = {0}, moved = {0};
    err_field(&why, "k", "must be a number");
    assert_false(err_move(NULL, &why) || err_move(&moved, &why));
    assert_string_equal(moved.param, "k");
    assert_string_equal(moved.text, why.text);
    assert_false(err_move(&moved, &e));
    assert_int_equal(moved.code, ERR_BAD_INPUT);
    struct err full = {0};
    errno = ENOSPC;
    err_sys(&full, "write");
    assert_int_equal(full.code, ERR_FULL);
}

static void an_arena_hands_out_zeroed_memory_of_any_size(void **state)
{
    UNUSED(state);
    struct arena a = {0};
    for (size_t size = 1; size < 100000; size = size * 3 + 1) {
        unsigned char *p = arena_new(&a, size, 1);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 255, size);
    }
    assert_string_equal(arena_print(&a, "%d-%s", 7, "x"), "7-x");
    arena_clear(&a);
}

static void a_path_that_does_not_fit_is_never_opened(void **state)
{
    UNUSED(state);
    static char dir[PATH_MAX + 10];
    char path[PATH_MAX];
    struct err e = {0};
    assert_string_equal(path_join(path, "/a", "%s/%d.x", "b", 7), "/a/b/7.x");
    memset(dir, 'a', sizeof dir - 1);
    for (size_t len = PATH_MAX - 4; len < sizeof dir; len++) {
        char kept = dir[len];
        dir[len] = 0;
        bool fits = len + 2 < PATH_MAX;
        assert_int_equal(strlen(path_join(path, dir, "f")) == len + 2, fits);
        assert_false(open(path, O_CREAT | O_RDWR, 0600) >= 0 || file_make_dirs(path, &e));
        assert_int_equal(errno == ENOTDIR, !fits);
        dir[len] = kept;
    }
}

static void a_renamed_file_has_one_name_also_when_it_had_two(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), from[400], to[400];
    struct err e = {0};
    snprintf(from, sizeof from, "%s/from", dir);
    snprintf(to, sizeof to, "%s/to", dir);
    assert_ok(file_replace(from, "x", 1, &e), e);
    assert_true(file_rename(from, to));
    assert_int_equal(access(from, F_OK), -1);
    assert_int_equal(link(to, from), 0); /* as a loss of power in the middle leaves them */
    assert_true(file_rename(from, to));
    assert_int_equal(access(from, F_OK), -1);
    assert_int_equal(access(to, F_OK), 0);
    assert_false(file_rename(from, to));
    t_remove_dir(dir);
}

static void a_file_that_is_written_over_itself_stays_as_it_is(void **state)
{
    UNUSED(state);
    struct err e = {0};
    char path[300], *dir = t_make_dir();
    enum { LEN = (1 << 20) + 4097 }; /* not a multiple of a piece */
    unsigned char *bytes = mem_new(LEN, 1);
    void *now = NULL;
    size_t len = 0;
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (unsigned char)(i * 31 % 251);
    snprintf(path, sizeof path, "%s/log", dir);
    assert_ok(file_renew(path, &e), e); /* not there is fine */
    assert_ok(file_replace(path, bytes, LEN, &e) && file_renew(path, &e) && file_read(path, 2 * LEN, &now, &len, &e),
              e);
    assert_int_equal(len, LEN);
    assert_memory_equal(now, bytes, LEN);
    assert_err(file_renew(dir, &e), e, ERR_IO); /* a folder is no file */
    free(now);
    free(bytes);
    t_remove_dir(dir);
}

static void a_replaced_file_reads_back_and_limits_are_kept(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct err e = {0};
    void *got;
    size_t len;
    snprintf(path, sizeof path, "%s/f", dir);
    assert_ok(file_replace(path, "hello", 5, &e), e);
    assert_ok(file_read(path, 5, &got, &len, &e), e);
    assert_int_equal(len, 5);
    assert_string_equal(got, "hello");
    free(got);
    assert_err(file_read(path, 4, &got, &len, &e), e, ERR_TOO_LARGE);
    assert_err(file_read(dir, 4, &got, &len, &e), e, ERR_IO);
    snprintf(path, sizeof path, "%s/missing", dir);
    assert_err(file_read(path, 4, &got, &len, &e), e, ERR_NOT_FOUND);
    snprintf(path, sizeof path, "%s/a/b/c", dir);
    e = (struct err){0};
    assert_ok(file_make_dirs(path, &e), e);
    assert_ok(file_make_dirs(path, &e), e);
    t_remove_dir(dir);
}

static void a_locked_folder_refuses_a_second_owner(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct err e = {0};
    int fd = file_lock_dir(dir, &e);
    assert_true(fd >= 0);
    assert_err(file_lock_dir(dir, &e) >= 0, e, ERR_BUSY);
    close(fd);
    e = (struct err){0};
    fd = file_lock_dir(dir, &e);
    assert_true(fd >= 0);
    close(fd);
    t_remove_dir(dir);
}

static void base64_skips_white_space_and_refuses_junk(void **state)
{
    UNUSED(state);
    struct buf b = {0};
    struct err e = {0};
    void *out;
    size_t len;
    base64_encode("anchord", 7, &b);
    assert_string_equal(b.data, "YW5jaG9yZA==");
    buf_clear(&b);
    assert_ok(base64_decode("YW5j\n aG9y\tZA==", 15, &out, &len, &e), e);
    assert_int_equal(len, 7);
    assert_memory_equal(out, "anchord", 7);
    free(out);
    assert_err(base64_decode("YW5j!", 5, &out, &len, &e), e, ERR_BAD_INPUT);
}

static void base64_is_read_in_every_spelling_and_no_other(void **state)
{
    UNUSED(state);
    static const char *const same[] = {"+/+/vw==",    "-_-_vw==",  "+/-_vw",   "-_-_vw", "%2B%2F%2b%2fvw%3D%3D",
                                       " +/+/vw==\n", "+/+/v%0Aw", "+/+/vw= ="};
    static const char *const bad[] = {"+/+/vw=",  "+/+/vw===",    "+/+/v",    "+/+/vx==", "=",
                                      "====",     "+/+/vw==AA==", "+/+/v=w=", "+/+/%2",   "+/+/%zz",
                                      "+/+/vw*=", "+/+/vw==x",    "+/+/=",    "\xc3\xa4", "%"};
    struct err e = {0};
    void *out;
    size_t len;
    for (size_t i = 0; i < COUNT(same); i++) {
        if (!base64_decode(same[i], strlen(same[i]), &out, &len, &e))
            fail_msg("%s: %s", same[i], e.text);
        assert_int_equal(len, 4);
        assert_memory_equal(out, "\xfb\xff\xbf\xbf", 4);
        free(out);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        e = (struct err){0};
        if (base64_decode(bad[i], strlen(bad[i]), &out, &len, &e))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(e.code, ERR_BAD_INPUT);
    }
    for (size_t n = 0; n < 70; n++) { /* all lengths, with padding and without */
        struct buf b = {0};
        char bytes[70];
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)(i * 37 + n);
        base64_encode(bytes, n, &b);
        for (size_t keep = 0; keep < 2; keep++) {
            size_t cut = b.len;
            while (keep == 0 && cut > 0 && b.data[cut - 1] == '=')
                cut--;
            assert_ok(base64_decode(b.data ? b.data : "", cut, &out, &len, &e), e);
            assert_int_equal(len, n);
            assert_memory_equal(out, bytes, n);
            free(out);
        }
        buf_clear(&b);
    }
}

static void sha256_gives_the_standard_vectors(void **state)
{
    UNUSED(state);
    char hex[HASH_HEX];
    hash_text("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct hash *h = hash_begin();
    unsigned char digest[HASH_SIZE];
    hash_add(h, "a", 1);
    hash_add(h, "bc", 2);
    hash_end(h, digest);
    char again[HASH_HEX];
    hash_hex(digest, again);
    assert_string_equal(hex, again);
}

static void quoted_log_text_cannot_forge_a_line(void **state)
{
    UNUSED(state);
    char out[64];
    assert_string_equal(log_quote("a\nb\"\x1b", out, sizeof out), "\"a\\x0ab\\x22\\x1b\"");
    assert_true(strlen(log_quote("a very long text that does not fit", out, 16)) < 16);
}

static void random_streams_are_reproducible_and_even(void **state)
{
    UNUSED(state);
    struct rng a = rng_for(1, 2, 3), b = rng_for(1, 2, 3), c = rng_for(1, 3, 2);
    assert_true(rng_next(&a) == rng_next(&b));
    assert_true(rng_next(&a) != rng_next(&c));
    int counts[7] = {0};
    double sum = 0, square = 0;
    for (int i = 0; i < 70000; i++) {
        counts[rng_below(&a, 7)]++;
        double x = rng_normal(&a);
        sum += x;
        square += x * x;
    }
    for (int i = 0; i < 7; i++)
        assert_true(abs(counts[i] - 10000) < 500);
    assert_true(fabs(sum / 70000) < 0.02 && fabs(square / 70000 - 1) < 0.03);
}

struct counting_work {
    struct work work;
    _Atomic int *counter;
};

static void count_up(struct work *w, void *thread_state)
{
    UNUSED(thread_state);
    atomic_fetch_add(((struct counting_work *)w)->counter, 1);
}

static void a_pool_runs_everything_that_it_accepted(void **state)
{
    UNUSED(state);
    struct err e = {0};
    static struct counting_work works[100];
    struct work *list[100];
    _Atomic int counter = 0;
    struct pool *p = pool_new(&(struct pool_options){.name = "t", .threads = 3, .capacity = 100}, &e);
    assert_non_null(p);
    for (int i = 0; i < 100; i++) {
        works[i] = (struct counting_work){.work.run = count_up, .counter = &counter};
        list[i] = &works[i].work;
    }
    assert_ok(pool_add(p, list, 100, &e), e);
    pool_free(p);
    assert_int_equal(counter, 100);
}

struct marks {
    _Atomic int seen[1000];
    _Atomic size_t highest_slot;
    size_t last_tick;
};

static void mark(size_t i, size_t slot, void *context)
{
    struct marks *m = context;
    atomic_fetch_add(&m->seen[i], 1);
    if (slot > m->highest_slot)
        m->highest_slot = slot;
}

static void note_tick(size_t done, size_t n, void *context)
{
    assert_true(done <= n);
    ((struct marks *)context)->last_tick = done;
}

static void each_item_is_dealt_once_whatever_the_pool(void **state)
{
    UNUSED(state);
    struct err e = {0};
    for (size_t threads = 0; threads < 4; threads++) {
        static struct marks m;
        m = (struct marks){0};
        struct pool *p =
            threads ? pool_new(&(struct pool_options){.name = "t", .threads = threads, .capacity = 1}, &e) : NULL;
        pool_each(p, COUNT(m.seen), mark, note_tick, &m);
        for (size_t i = 0; i < COUNT(m.seen); i++)
            assert_int_equal(m.seen[i], 1);
        assert_int_equal(m.last_tick, COUNT(m.seen));
        assert_true(m.highest_slot < (threads ? threads : 1));
        pool_free(p);
    }
}

static void a_full_pool_takes_all_or_nothing(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct work works[3] = {0}, *list[3] = {&works[0], &works[1], &works[2]};
    struct pool *p = pool_new(&(struct pool_options){.name = "t", .threads = 1, .capacity = 2}, &e);
    assert_err(pool_add(p, list, 3, &e), e, ERR_BUSY);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_error_wins_and_context_goes_in_front),
        cmocka_unit_test(an_arena_hands_out_zeroed_memory_of_any_size),
        cmocka_unit_test(a_replaced_file_reads_back_and_limits_are_kept),
        cmocka_unit_test(a_locked_folder_refuses_a_second_owner),
        cmocka_unit_test(base64_skips_white_space_and_refuses_junk),
        cmocka_unit_test(base64_is_read_in_every_spelling_and_no_other),
        cmocka_unit_test(sha256_gives_the_standard_vectors),
        cmocka_unit_test(quoted_log_text_cannot_forge_a_line),
        cmocka_unit_test(random_streams_are_reproducible_and_even),
        cmocka_unit_test(a_pool_runs_everything_that_it_accepted),
        cmocka_unit_test(each_item_is_dealt_once_whatever_the_pool),
        cmocka_unit_test(a_full_pool_takes_all_or_nothing),
        cmocka_unit_test(a_path_that_does_not_fit_is_never_opened),
        cmocka_unit_test(a_renamed_file_has_one_name_also_when_it_had_two),
        cmocka_unit_test(a_file_that_is_written_over_itself_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
