/* test_pin.c - files of a collection, held while the collection goes on changing. */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "index/pin.h"
#include "tests/lib/stores.h"

struct seen {
    char ids[16][32], labels[16][32], files[16][80];
    size_t n;
};

static void see(const struct pinned *p, void *context)
{
    struct seen *s = context;
    assert_true(s->n < 16);
    snprintf(s->ids[s->n], 32, "%s", p->id);
    snprintf(s->labels[s->n], 32, "%s", p->label ? p->label : "-");
    snprintf(s->files[s->n++], 80, "%s", p->file);
}

static bool is_there(const char *dir, const char *file, struct stat *st)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    return stat(path, st) == 0;
}

static void pinned_files_outlive_the_images_without_a_second_copy(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), pins[300], blob[400];
    struct err e = {0};
    struct stat st;
    struct store *s = stores_open(dir, &e);
    snprintf(pins, sizeof pins, "%s-pins", dir);
    assert_ok(s && stores_create(s, "default", &e), e);
    assert_ok(stores_put(s, &(struct stores_image){.id = "b", .content = 2, .label = "bee"}, NULL, &e) &&
                  stores_put(s, &(struct stores_image){.id = "a", .content = 1}, NULL, &e) &&
                  stores_put(s, &(struct stores_image){.id = "twin", .content = 2}, NULL, &e),
              e);

    struct seen seen = {0};
    assert_ok(store_pin(s, "default", pins, see, &seen, &e), e);
    assert_int_equal(seen.n, 3);
    assert_string_equal(seen.ids[0], "a");
    assert_string_equal(seen.ids[2], "twin");
    assert_string_equal(seen.labels[1], "bee");
    assert_string_equal(seen.labels[0], "-");
    assert_string_equal(seen.files[1], seen.files[2]);
    assert_true(is_there(pins, seen.files[0], &st));
    assert_int_equal(st.st_nlink, 2); /* the store's and ours */

    assert_ok(stores_delete(s, "a", &e), e);
    snprintf(blob, sizeof blob, "%s/blobs", dir);
    assert_false(is_there(blob, seen.files[0], &st));
    assert_true(is_there(pins, seen.files[0], &st));
    assert_int_equal(st.st_nlink, 1);

    assert_ok(stores_put(s, &(struct stores_image){.id = "c", .content = 3}, NULL, &e), e);
    seen.n = 0;
    assert_ok(store_pin(s, "default", pins, see, &seen, &e), e); /* once more: the new one is added */
    assert_int_equal(seen.n, 3);
    assert_true(is_there(pins, seen.files[1], &st));
    assert_err(store_pin(s, "none", pins, see, &seen, &e), e, ERR_NOT_FOUND);
    store_close(s);
    t_remove_dir(strdup(pins));
    t_remove_dir(dir);
}

int main(void)
{
    json_init();
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pinned_files_outlive_the_images_without_a_second_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
