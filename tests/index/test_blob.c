/* test_blob.c - image files by their hash. */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/file.h"
#include "index/blob.h"

struct fixture {
    char *dir;
    struct blobs *b;
};

static int open_blobs(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = t_make_dir();
    f->b = blobs_open(f->dir, NULL);
    *state = f;
    return f->b ? 0 : -1;
}

static int close_blobs(void **state)
{
    struct fixture *f = *state;
    blobs_close(f->b);
    t_remove_dir(f->dir);
    free(f);
    return 0;
}

static void path_of(const struct fixture *f, const char *sha256, const char *ending, char out[512])
{
    snprintf(out, 512, "%s/%.2s/%s%s", f->dir, sha256, sha256, ending);
}

static void stage(struct fixture *f, const char *text, char sha256[HASH_HEX])
{
    struct err e = {0};
    hash_text(text, strlen(text), sha256);
    assert_ok(blobs_stage(f->b, sha256, text, strlen(text), &e), e);
}

static void what_is_committed_reads_back(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char one[HASH_HEX], two[HASH_HEX];
    void *bytes;
    size_t len;
    stage(f, "one", one);
    stage(f, "two", two);
    stage(f, "one", one); /* the same twice is one file */
    assert_int_equal(blobs_staged(f->b), 2);
    assert_false(blobs_present(f->b, one, 3)); /* not before the commit */
    assert_ok(blobs_commit(f->b, &e), e);
    assert_int_equal(blobs_staged(f->b), 0);
    assert_true(blobs_present(f->b, one, 3));
    assert_false(blobs_present(f->b, one, 4));
    assert_ok(blobs_read(f->b, two, &bytes, &len, &e), e);
    assert_int_equal(len, 3);
    assert_string_equal(bytes, "two");
    free(bytes);
    assert_ok(blobs_remove(f->b, two, &e), e);
    assert_ok(blobs_remove(f->b, two, &e), e); /* gone already is fine */
    assert_err(blobs_read(f->b, two, &bytes, &len, &e), e, ERR_NOT_FOUND);
}

static void what_is_abandoned_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char one[HASH_HEX], two[HASH_HEX], path[512];
    stage(f, "one", one);
    stage(f, "two", two);
    path_of(f, two, ".tmp", path);
    assert_int_equal(access(path, F_OK), 0);
    blobs_abandon(f->b, 1);
    assert_int_equal(access(path, F_OK), -1);
    assert_ok(blobs_commit(f->b, &e), e);
    assert_true(blobs_present(f->b, one, 3));
    assert_false(blobs_present(f->b, two, 3));
}

static void damaged_content_is_not_handed_out(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char one[HASH_HEX], path[512];
    void *bytes;
    size_t len;
    stage(f, "one", one);
    assert_ok(blobs_commit(f->b, &e), e);
    path_of(f, one, "", path);
    assert_ok(file_replace(path, "onf", 3, &e), e);
    assert_err(blobs_read(f->b, one, &bytes, &len, &e), e, ERR_CORRUPT);
    stage(f, "one", one); /* stored anew */
    e = (struct err){0};
    assert_ok(blobs_commit(f->b, &e), e);
    assert_ok(blobs_read(f->b, one, &bytes, &len, &e), e);
    free(bytes);
}

static void a_name_that_is_no_hash_is_no_path(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char longer[HASH_HEX + 1];
    memset(longer, 'a', sizeof longer);
    longer[HASH_HEX] = 0;
    assert_err(blobs_stage(f->b, "../../etc/passwd", "x", 1, &e), e, ERR_INTERNAL);
    assert_false(blob_name_is_valid(longer));
    longer[HASH_HEX - 1] = 0;
    assert_true(blob_name_is_valid(longer));
    longer[0] = 'A';
    assert_false(blob_name_is_valid(longer));
}

static void a_folder_lists_its_files_in_order_and_drops_half_written_ones(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char(*names)[HASH_HEX], path[512], name[HASH_HEX];
    size_t n;
    memset(name, '0', sizeof name);
    name[HASH_HEX - 1] = 0;
    const char *endings[] = {"", ".tmp"};
    for (char c = '9'; c >= '0'; c--)
        for (size_t i = 0; i < 2; i++) {
            name[5] = c;
            path_of(f, name, endings[i], path);
            assert_ok(file_replace(path, "x", 1, &e), e);
        }
    snprintf(path, sizeof path, "%s/00/README", f->dir); /* somebody's own */
    assert_ok(file_replace(path, "x", 1, &e), e);
    assert_ok(blobs_list(f->b, 0, &names, &n, &e), e);
    assert_int_equal(n, 10);
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(names[i - 1], names[i]) < 0);
    free(names);
    assert_int_equal(access(path, F_OK), 0);
    path_of(f, name, ".tmp", path);
    assert_int_equal(access(path, F_OK), -1);
    assert_ok(blobs_list(f->b, 1, &names, &n, &e), e);
    assert_int_equal(n, 0);
    free(names);
}

static void a_copy_is_a_link_that_is_never_written_through(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct stat a, b;
    char one[HASH_HEX], from[512], to[600], *other = t_make_dir();
    uint64_t bytes = 0;
    stage(f, "one", one);
    assert_ok(blobs_commit(f->b, &e), e);
    struct blobs *copy = blobs_open(other, &e);
    assert_non_null(copy);
    assert_ok(blobs_stage_from(copy, f->b, one, &bytes, &e), e);
    assert_int_equal(bytes, 3);
    assert_int_equal(blobs_staged(copy), 1);
    /* as if a crash had left the link under its temporary name: staging again must not cut the original */
    blobs_close(copy);
    path_of(f, one, "", from);
    snprintf(to, sizeof to, "%s/%.2s/%s.tmp", other, one, one);
    assert_int_equal(link(from, to), 0);
    copy = blobs_open(other, &e);
    assert_ok(blobs_stage(copy, one, "one", 3, &e), e);
    assert_int_equal(stat(from, &a) | stat(to, &b), 0);
    assert_int_not_equal(a.st_ino, b.st_ino);
    assert_ok(blobs_commit(copy, &e), e);
    assert_true(blobs_present(f->b, one, 3));
    assert_ok(blobs_stage_from(copy, f->b, one, &bytes, &e), e);
    assert_ok(blobs_commit(copy, &e), e);
    snprintf(to, sizeof to, "%s/%.2s/%s", other, one, one);
    assert_int_equal(stat(from, &a) | stat(to, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    blobs_close(copy);
    t_remove_dir(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_committed_reads_back),
        cmocka_unit_test(what_is_abandoned_leaves_nothing),
        cmocka_unit_test(damaged_content_is_not_handed_out),
        cmocka_unit_test(a_name_that_is_no_hash_is_no_path),
        cmocka_unit_test(a_folder_lists_its_files_in_order_and_drops_half_written_ones),
        cmocka_unit_test(a_copy_is_a_link_that_is_never_written_through),
    };
    return T_RUN_EACH(tests, open_blobs, close_blobs);
}
