/* test_orphans.c - image files that no row names: kept for a week, taken back when a row misses one, gone on a full disk. */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "index/orphans.h"
#include "tests/lib/stores.h"

enum { DAY_S = 24 * 3600 };

struct fixture {
    char *dir;
    struct store *s;
    uint64_t min_free;
};

static void open_again(struct fixture *f)
{
    struct err e = {0};
    store_close(f->s);
    f->s = store_open(&(struct store_options){.dir = f->dir, .min_free_bytes = f->min_free}, &e);
    if (!f->s)
        fail_msg("%s", e.text);
}

static int open_store(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};
    log_set_level(LOG_OFF);
    f->dir = t_make_dir();
    f->min_free = 1 << 20;
    open_again(f);
    *state = f;
    return stores_create(f->s, "default", &e) &&
                   stores_put(f->s, &(struct stores_image){.id = "a", .content = 1}, NULL, &e)
               ? 0
               : -1;
}

static int close_store(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    t_remove_dir(f->dir);
    free(f);
    return 0;
}

static long long today(void)
{
    return (long long)clock_unix() / DAY_S;
}

/* The path of an image's file among the orphans of a day. */
static void orphan_path(const struct fixture *f, long long day, const char *sha256, char out[400])
{
    snprintf(out, 400, "%s/orphans/%lld/%s", f->dir, day, sha256);
}

static void image(struct fixture *f, struct image_row *row)
{
    struct err e = {0};
    assert_ok(store_image(f->s, "default", "a", row, &e), e);
}

static bool has_content(struct fixture *f, const struct image_row *row)
{
    void *bytes;
    size_t len;
    struct err e = {0};
    bool ok = store_content(f->s, row, &bytes, &len, &e);
    if (ok)
        free(bytes);
    return ok;
}

/* As when an older catalogue is put back by hand, and later the right one again. */
static void a_file_without_a_row_is_put_away_and_comes_back_with_its_row(void **state)
{
    struct fixture *f = *state;
    struct image_row row;
    char command[500], path[400];
    image(f, &row);
    store_close(f->s);
    f->s = NULL;
    snprintf(command, sizeof command, "cd %s && mkdir right && mv anchord.db* right", f->dir);
    assert_int_equal(system(command), 0);
    struct err e = {0};
    snprintf(path, sizeof path, "%s/older", f->dir);
    f->s = store_open(&(struct store_options){.dir = path, .min_free_bytes = 1 << 20}, &e);
    assert_ok(f->s && stores_create(f->s, "default", &e), e); /* it has no images */
    store_close(f->s);
    f->s = NULL;
    snprintf(command, sizeof command, "cd %s && mv older/anchord.db* .", f->dir);
    assert_int_equal(system(command), 0);
    open_again(f);
    assert_int_equal(stores_count_files(f->dir), 0);
    orphan_path(f, today(), row.sha256, path);
    assert_int_equal(access(path, F_OK), 0);
    store_close(f->s);
    f->s = NULL;
    snprintf(command, sizeof command, "cd %s && mv right/anchord.db* .", f->dir);
    assert_int_equal(system(command), 0);
    open_again(f);
    assert_true(has_content(f, &row));
    assert_int_equal(access(path, F_OK), -1);
    image_row_clear(&row);
}

static void put_orphan(struct fixture *f, long long day, char path[400])
{
    struct err e = {0};
    char folder[400];
    snprintf(folder, sizeof folder, "%s/orphans/%lld", f->dir, day);
    orphan_path(f, day, "00aa000000000000000000000000000000000000000000000000000000000000", path);
    assert_ok(file_make_dirs(folder, &e) && file_replace(path, "x", 1, &e), e);
}

static void after_a_week_it_goes(void **state)
{
    struct fixture *f = *state;
    char young[400], old[400];
    put_orphan(f, today() - ORPHAN_DAYS, young);
    put_orphan(f, today() - ORPHAN_DAYS - 1, old);
    open_again(f);
    assert_int_equal(access(young, F_OK), 0);
    assert_int_equal(access(old, F_OK), -1);
}

static void on_a_full_disk_it_goes_at_once(void **state)
{
    struct fixture *f = *state;
    char path[400];
    put_orphan(f, today(), path);
    open_again(f);
    assert_int_equal(access(path, F_OK), 0);
    f->min_free = UINT64_MAX / 2; /* no disk has that */
    open_again(f);
    struct err e = {0};
    assert_err(stores_put(f->s, &(struct stores_image){.id = "b", .content = 2}, NULL, &e), e, ERR_FULL);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_without_a_row_is_put_away_and_comes_back_with_its_row),
        cmocka_unit_test(after_a_week_it_goes),
        cmocka_unit_test(on_a_full_disk_it_goes_at_once),
    };
    return T_RUN_EACH(tests, open_store, close_store);
}
