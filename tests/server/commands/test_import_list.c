/* test_import_list.c - which files an import finds, and the ids, labels and paths they get. */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/nfc.h"
#include "base/utf8.h"
#include "server/commands/import_kind.h"
#include "server/commands/import_list.h"
#include "server/commands/import_name.h"

static void touch(const char *dir, const char *path)
{
    char full[900], parent[900];
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

static void link_to(const char *dir, const char *path, const char *target)
{
    char full[600];
    snprintf(full, sizeof full, "%s/%s", dir, path);
    assert_int_equal(symlink(target, full), 0);
}

static struct import_list list_of(const char *dir)
{
    struct import_list l;
    struct err e = {0};
    assert_ok(import_list_make(dir, &l, &e), e);
    return l;
}

static void check(const struct import_list *l, const char *path, const char *label)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct import_file *f = &l->files[i];
        if (strcmp(f->path, path) != 0)
            continue;
        assert_string_equal(f->id, path);
        assert_string_equal(f->text, path);
        assert_string_equal(f->label ? f->label : "", label);
        assert_true(image_id_is_valid(f->id));
        return;
    }
    fail_msg("%s is not in the list", path);
}

static void the_path_is_the_id_and_the_first_folder_the_label(void **state)
{
    UNUSED(state);
    static const struct {
        const char *path, *label;
    } files[] = {{"cat/1.jpg", "cat"},
                 {"cat/1.png", "cat"},
                 {"cat/1", "cat"},
                 {"cat/old/1.jpg", "cat"},
                 {"cat.1.jpg", ""},
                 {"top.jpeg", ""},
                 {"dog.d/a.b.webp", "dog.d"},
                 {"with space/\xc3\xa4 (1).png", "with space"},
                 {"\xe7\x8c\xab/\xe4\xb8\x89\xe6\xaf\x9b.jpg", "\xe7\x8c\xab"}};
    char *dir = t_make_dir(), with_slash[300];
    for (size_t i = 0; i < COUNT(files); i++)
        touch(dir, files[i].path);
    snprintf(with_slash, sizeof with_slash, "%s//", dir);
    struct import_list l = list_of(with_slash);
    assert_int_equal(l.n, COUNT(files));
    for (size_t i = 0; i < COUNT(files); i++)
        check(&l, files[i].path, files[i].label);
    for (size_t i = 1; i < l.n; i++)
        assert_true(strcmp(l.files[i - 1].path, l.files[i].path) < 0);
    import_list_clear(&l);
    t_remove_dir(dir);
}

static void names_that_are_no_text_are_escaped_and_marked_by_their_path(void **state)
{
    UNUSED(state);
    char id[IMAGE_ID_MAX + 1], other[IMAGE_ID_MAX + 1], hex[HASH_HEX], want[64];
    import_id("a\xff\x01.jpg", id);
    hash_text("a\xff\x01.jpg", 7, hex);
    snprintf(want, sizeof want, "a%%FF%%01.jpg-%.16s", hex);
    assert_string_equal(id, want);
    import_id("a%FF%01.jpg", id); /* a name that looks like the escape of another */
    assert_string_equal(id, "a%FF%01.jpg");
    char *text = import_text("b\xe2\x82/\xc2\x85\xc3\xa9\n"), *label = import_label("b\xff/x.jpg");
    assert_string_equal(text, "b%E2%82/%C2%85\xc3\xa9%0A");
    assert_string_equal(label, "b%FF");
    free(text);
    free(label);

    char longest[400] = "c/", longer[400];
    for (size_t i = 2; i < 256; i++)
        longest[i] = 'x';
    import_id(longest, id);
    assert_string_equal(id, longest); /* 256 bytes */
    snprintf(longer, sizeof longer, "%sy", longest);
    import_id(longer, id);
    longer[256] = 'z';
    import_id(longer, other);
    assert_int_equal(strlen(id), 256);
    assert_string_not_equal(id, other);
    for (size_t shift = 0; shift < 3; shift++) { /* never cut within a character */
        memset(longer, 'a', shift);
        for (size_t i = shift; i + 3 < 300; i += 3)
            memcpy(longer + i, "\xe7\x8c\xab", 4);
        import_id(longer, id);
        assert_true(image_id_is_valid(id));
    }
}

static void labels_are_composed_as_they_are_typed(void **state)
{
    UNUSED(state);
    static const char *const pairs[][2] = {{"cafe\xcc\x81", "caf\xc3\xa9"},
                                           {"plain", "plain"},
                                           {"", ""},
                                           {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"},
                                           {"A\xcc\x8a", "\xc3\x85"},
                                           {"\xff", "\xff"},
                                           {"q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"}};
    for (size_t i = 0; i < COUNT(pairs); i++) {
        char *got = nfc_text(pairs[i][0]);
        assert_string_equal(got, pairs[i][1]);
        free(got);
    }
    char *label = import_label("cafe\xcc\x81/1.jpg");
    assert_string_equal(label, "caf\xc3\xa9");
    free(label);
}

static void the_ids_of_the_first_version_are_known(void **state)
{
    UNUSED(state);
    char id[ID_MAX + 1], hex[HASH_HEX], want[64];
    import_old_id("cat/old/my photo.jpg", 1, id);
    assert_string_equal(id, "cat.old.my_photo");
    hash_text("a/1.png", 7, hex);
    snprintf(want, sizeof want, "a.1-%.8s", hex);
    import_old_id("a/1.png", 0, id);
    assert_string_equal(id, want);
    assert_true(import_may_be("a.1", "a/1.png") && import_may_be(want, "a/1.png") &&
                import_may_be("a/1.png", "a/1.png"));
    assert_false(import_may_be("a.1", "b/1.png") || import_may_be("a.1", "/home/me/a.1"));
    char longest[300];
    snprintf(longest, sizeof longest, "c/%0140d1.jpg", 0);
    import_old_id(longest, 1, id); /* too long: with the mark, either way */
    assert_int_equal(strlen(id), ID_MAX);
    assert_int_equal(id[ID_MAX - 9], '-');
}

static const char *kind_of_skipped(const struct import_list *l, const char *path)
{
    for (size_t i = 0; i < l->n_skipped; i++)
        if (strcmp(l->skipped[i].path, path) == 0)
            return l->skipped[i].kind;
    return "";
}

static void linked_folders_are_taken_once_and_what_is_no_file_is_told(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), *elsewhere = t_make_dir(), fifo[300], back[300];
    touch(dir, "z/1.jpg");
    touch(dir, ".hidden/2.jpg");
    touch(dir, "z/.3.jpg");
    touch(elsewhere, "4.jpg");
    touch(elsewhere, "sub/5.jpg");
    link_to(dir, "a", elsewhere); /* followed */
    link_to(dir, "b", elsewhere); /* the same again */
    link_to(dir, "c", "z");       /* a folder of the tree: its true name counts, though it comes later */
    link_to(dir, "z/loop", "..");
    link_to(dir, "self", "self");
    link_to(dir, "linked.jpg", "z/1.jpg");
    link_to(dir, "dangling.jpg", "nowhere");
    snprintf(back, sizeof back, "%s/back", elsewhere);
    assert_int_equal(symlink(dir, back), 0);
    snprintf(fifo, sizeof fifo, "%s/pipe.jpg", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    struct import_list l = list_of(dir);
    assert_int_equal(l.n, 4);
    check(&l, "z/1.jpg", "z");
    check(&l, "linked.jpg", "");
    check(&l, "a/4.jpg", "a");
    check(&l, "a/sub/5.jpg", "a");
    static const char *const again[] = {"b", "c", "z/loop", "a/back"};
    for (size_t i = 0; i < COUNT(again); i++)
        assert_string_equal(kind_of_skipped(&l, again[i]), "folder that is taken already");
    assert_string_equal(kind_of_skipped(&l, "dangling.jpg"), "link to nothing");
    assert_string_equal(kind_of_skipped(&l, "self"), "link to nothing");
    assert_string_equal(kind_of_skipped(&l, "pipe.jpg"), "no file");
    assert_int_equal(l.n_skipped, 7);
    import_list_clear(&l);
    t_remove_dir(dir);
    t_remove_dir(elsewhere);
}

static void an_empty_folder_gives_an_empty_list_and_a_missing_one_an_error(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), missing[300];
    struct err e = {0};
    struct import_list l = list_of(dir);
    assert_int_equal(l.n, 0);
    import_list_clear(&l);
    snprintf(missing, sizeof missing, "%s/missing", dir);
    assert_err(import_list_make(missing, &l, &e), e, ERR_NOT_FOUND);
    t_remove_dir(dir);
}

static void what_is_not_read_is_told_by_its_kind(void **state)
{
    UNUSED(state);
    static const struct {
        const char *name, *bytes;
        size_t n;
        const char *kind; /* NULL: to be sent */
    } cases[] = {
        {"a.jpg", "", 0, NULL},
        {"a.JPEG", "rubbish", 7, NULL},
        {"a", "\xff\xd8\xff\xe0", 4, NULL},
        {"a.txt", "\x89PNG\r\n\x1a\n", 8, NULL},
        {"a.heic",
         "\0\0\0\x18"
         "ftypheic",
         12, "HEIC"},
        {"a.bin",
         "\0\0\0\x18"
         "ftypmif1",
         12, "HEIC"},
        {"a.heif", "torn", 4, "HEIC"},
        {"a.jpg",
         "\0\0\0\x18"
         "ftypheic",
         12, "HEIC"}, /* as some phones name them */
        {"a.avif",
         "\0\0\0\x20"
         "ftypavif",
         12, "AVIF"},
        {"a.jpg", "GIF89a", 6, "GIF"},
        {"a.mov",
         "\0\0\0\x14"
         "ftypqt  ",
         12, "film"},
        {"a.bin",
         "\0\0\0\x14"
         "ftypisom",
         12, "film"},
        {"a.CR2", "II*\0\x10\0\0\0CR\x02\0", 12, "camera raw"},
        {"a.nef", "MM\0*\0\0\0\x08", 8, "camera raw"},
        {"a.tif", "II*\0\x08\0\0\0", 8, "TIFF"},
        {"a", "MM\0*\0\0\0\x08", 8, "TIFF"},
        {"a", "BM\x36\0\0\0\0\0\0\0\x36\0\0\0", 14, "BMP"},
        {"BMW.txt", "BMW is a car", 12, "no picture"},
        {"a.svg", "<svg/>", 6, "SVG"},
        {"a.jxl", "\xff\x0a", 2, "JPEG XL"},
        {"IMG_0.AAE", "<?xml", 5, "no picture"},
        {"jpg", "x", 1, "no picture"},
        {"a.jpg.txt", "x", 1, "no picture"},
    };
    char *dir = t_make_dir(), path[400];
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, cases[i].name);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fwrite(cases[i].bytes, 1, cases[i].n, f);
        fclose(f);
        const char *kind = import_kind(path);
        if (strcmp(kind ? kind : "", cases[i].kind ? cases[i].kind : "") != 0)
            fail_msg("%zu: %s is %s", i, cases[i].name, kind ? kind : "to be sent");
    }
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_is_the_id_and_the_first_folder_the_label),
        cmocka_unit_test(names_that_are_no_text_are_escaped_and_marked_by_their_path),
        cmocka_unit_test(labels_are_composed_as_they_are_typed),
        cmocka_unit_test(the_ids_of_the_first_version_are_known),
        cmocka_unit_test(linked_folders_are_taken_once_and_what_is_no_file_is_told),
        cmocka_unit_test(an_empty_folder_gives_an_empty_list_and_a_missing_one_an_error),
        cmocka_unit_test(what_is_not_read_is_told_by_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
