/* test_import_list.c - which files an import finds, and the ids and labels they get. */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/file.h"
#include "server/commands/import_list.h"

static void touch(const char *dir, const char *path)
{
    char full[600], parent[600];
    struct err e = {0};
    snprintf(full, sizeof full, "%s/%s", dir, path);
    snprintf(parent, sizeof parent, "%s", full);
    *strrchr(parent, '/') = 0;
    assert_ok(file_make_dirs(parent, &e), e);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs("x", f);
    fclose(f);
}

static const struct import_file *find(const struct import_list *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->files[i].path, path) == 0)
            return &l->files[i];
    fail_msg("%s is not in the list", path);
    return NULL;
}

static void check(const struct import_list *l, const char *path, const char *id, const char *label)
{
    const struct import_file *f = find(l, path);
    assert_string_equal(f->id, id);
    assert_int_equal(f->label_len, strlen(label));
    assert_memory_equal(f->path, label, f->label_len);
    assert_true(id_is_valid(f->id));
}

static void ids_come_from_paths_and_labels_from_the_first_folder(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), with_slash[300];
    struct import_list l;
    struct err e = {0};
    touch(dir, "cat/1.jpg");
    touch(dir, "cat/old/1.jpg");
    touch(dir, "top.jpeg");
    touch(dir, "README");
    touch(dir, "dog.d/a.b.webp");
    touch(dir, "with space/\xc3\xa4.png");
    snprintf(with_slash, sizeof with_slash, "%s//", dir);
    assert_ok(import_list_make(with_slash, &l, &e), e);
    assert_int_equal(l.n, 6);
    check(&l, "cat/1.jpg", "cat.1", "cat");
    check(&l, "cat/old/1.jpg", "cat.old.1", "cat");
    check(&l, "top.jpeg", "top", "");
    check(&l, "README", "README", "");
    check(&l, "dog.d/a.b.webp", "dog.d.a.b", "dog.d");
    check(&l, "with space/\xc3\xa4.png", "with_space.__", "with space");
    for (size_t i = 1; i < l.n; i++)
        assert_true(strcmp(l.files[i - 1].path, l.files[i].path) < 0);
    import_list_clear(&l);
    t_remove_dir(dir);
}

static void files_that_would_share_an_id_are_told_apart_by_their_paths(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), hex[HASH_HEX], want[64];
    struct import_list l;
    struct err e = {0};
    touch(dir, "a/1.jpg");
    touch(dir, "a/1.png");
    touch(dir, "a.1.webp");
    assert_ok(import_list_make(dir, &l, &e), e);
    check(&l, "a.1.webp", "a.1", ""); /* the first by its path */
    hash_text("a/1.jpg", 7, hex);
    snprintf(want, sizeof want, "a.1-%.8s", hex);
    check(&l, "a/1.jpg", want, "a");
    hash_text("a/1.png", 7, hex);
    snprintf(want, sizeof want, "a.1-%.8s", hex);
    check(&l, "a/1.png", want, "a");
    import_list_clear(&l);
    t_remove_dir(dir);
}

static void a_path_too_long_for_an_id_is_cut_and_marked(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), one[300], other[300];
    struct import_list l;
    struct err e = {0};
    snprintf(one, sizeof one, "c/%0140d1.jpg", 0);
    snprintf(other, sizeof other, "c/%0140d2.jpg", 0);
    touch(dir, one);
    touch(dir, other);
    assert_ok(import_list_make(dir, &l, &e), e);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(strlen(l.files[i].id), ID_MAX);
        assert_int_equal(l.files[i].id[ID_MAX - 9], '-');
    }
    assert_true(id_is_valid(l.files[0].id) && id_is_valid(l.files[1].id));
    assert_string_not_equal(l.files[0].id, l.files[1].id);
    import_list_clear(&l);
    t_remove_dir(dir);
}

static void hidden_files_and_linked_folders_are_left_out(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), link[300], fifo[300];
    struct import_list l;
    struct err e = {0};
    touch(dir, "a/1.jpg");
    touch(dir, ".hidden/2.jpg");
    touch(dir, "a/.3.jpg");
    snprintf(link, sizeof link, "%s/loop", dir);
    assert_int_equal(symlink(dir, link), 0);
    snprintf(link, sizeof link, "%s/linked.jpg", dir);
    assert_int_equal(symlink("a/1.jpg", link), 0);
    snprintf(link, sizeof link, "%s/dangling.jpg", dir);
    assert_int_equal(symlink("nowhere", link), 0);
    snprintf(fifo, sizeof fifo, "%s/pipe.jpg", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_ok(import_list_make(dir, &l, &e), e);
    assert_int_equal(l.n, 2);
    check(&l, "a/1.jpg", "a.1", "a");
    check(&l, "linked.jpg", "linked", "");
    import_list_clear(&l);
    t_remove_dir(dir);
}

static void an_empty_folder_gives_an_empty_list_and_a_missing_one_an_error(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), missing[300];
    struct import_list l;
    struct err e = {0};
    assert_ok(import_list_make(dir, &l, &e), e);
    assert_int_equal(l.n, 0);
    import_list_clear(&l);
    snprintf(missing, sizeof missing, "%s/missing", dir);
    assert_err(import_list_make(missing, &l, &e), e, ERR_NOT_FOUND);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_come_from_paths_and_labels_from_the_first_folder),
        cmocka_unit_test(files_that_would_share_an_id_are_told_apart_by_their_paths),
        cmocka_unit_test(a_path_too_long_for_an_id_is_cut_and_marked),
        cmocka_unit_test(hidden_files_and_linked_folders_are_left_out),
        cmocka_unit_test(an_empty_folder_gives_an_empty_list_and_a_missing_one_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
