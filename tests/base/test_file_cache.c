/* test_file_cache.c - what is kept, what goes when, and what a damaged file counts for. */
#include "tests/t.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_cache.h"

static bool holds(struct file_cache *c, const char *name, const char *want)
{
    void *out;
    size_t len;
    if (!file_cache_get(c, name, &out, &len))
        return false;
    assert_int_equal(len, strlen(want));
    assert_string_equal((char *)out, want);
    free(out);
    return true;
}

static void what_was_kept_comes_back_also_after_a_restart(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct file_cache *c = file_cache_new(dir, 256 * 1000);
    assert_false(holds(c, "abcd-64", ""));
    file_cache_put(c, "abcd-64", "small", 5);
    file_cache_put(c, "abcd-128", "larger", 6);
    file_cache_put(c, "abff-64", "other", 5);
    file_cache_put(c, "abcd-64", "again", 5);
    file_cache_free(c);
    c = file_cache_new(dir, 256 * 1000);
    assert_true(holds(c, "abcd-64", "again"));
    file_cache_forget(c, "abcd");
    assert_false(holds(c, "abcd-64", ""));
    assert_false(holds(c, "abcd-128", ""));
    assert_true(holds(c, "abff-64", "other"));
    file_cache_free(c);
    t_remove_dir(dir);
}

static void a_damaged_file_counts_as_absent(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[400];
    struct err e = {0};
    struct file_cache *c = file_cache_new(dir, 256 * 1000);
    file_cache_put(c, "abcd", "content", 7);
    snprintf(path, sizeof path, "%s/ab/abcd", dir);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "C", 1, 32), 1);
    close(fd);
    assert_false(holds(c, "abcd", ""));
    assert_ok(file_replace(path, "short", 5, &e), e);
    assert_false(holds(c, "abcd", ""));
    file_cache_put(c, "abcd", "content", 7);
    assert_true(holds(c, "abcd", "content"));
    file_cache_free(c);
    t_remove_dir(dir);
}

static void make_old(const char *dir, const char *name, time_t age)
{
    char path[400];
    struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    snprintf(path, sizeof path, "%s/%.2s/%s", dir, name, name);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void what_was_wanted_longest_ago_goes_first(void **state)
{
    UNUSED(state);
    static const char text[68] = "1234567";
    char *dir = t_make_dir(), name[16];
    struct file_cache *c = file_cache_new(dir, 256 * 300); /* three of a hundred bytes a folder */
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "ab%d", i);
        file_cache_put(c, name, text, sizeof text);
        make_old(dir, name, 10000 - i);
    }
    void *out;
    size_t len;
    assert_true(file_cache_get(c, "ab0", &out, &len)); /* it is the newest now */
    free(out);
    file_cache_put(c, "ab3", text, sizeof text);
    static const bool kept[] = {true, false, true, true};
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "ab%d", i);
        bool there = file_cache_get(c, name, &out, &len);
        assert_int_equal(there, kept[i]);
        if (there)
            free(out);
    }
    static const char large[400] = "x";
    file_cache_put(c, "ab9", large, sizeof large); /* never fits, and moves nobody */
    assert_false(file_cache_get(c, "ab9", &out, &len));
    assert_true(file_cache_get(c, "ab3", &out, &len));
    free(out);
    file_cache_free(c);
    t_remove_dir(dir);
}

static void without_room_nothing_is_kept(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct file_cache *c = file_cache_new(dir, 0);
    file_cache_put(c, "abcd", "x", 1);
    assert_false(holds(c, "abcd", ""));
    file_cache_free(c);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_kept_comes_back_also_after_a_restart),
        cmocka_unit_test(a_damaged_file_counts_as_absent),
        cmocka_unit_test(what_was_wanted_longest_ago_goes_first),
        cmocka_unit_test(without_room_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
