/* test_demo_commands.c - `anchord demo-pictures` and `anchord sheet` as a user runs them. */
#include "tests/t.h"

#include "base/file.h"
#include "engine/pictures/draw.h"
#include "engine/pictures/image.h"
#include "tests/lib/process.h"

static struct image load(const char *path)
{
    struct err e = {0};
    struct image img;
    void *bytes;
    size_t len;
    assert_ok(file_read(path, 1 << 24, &bytes, &len, &e), e);
    assert_ok(image_decode(bytes, len, &image_default_limits, 0, &img, &e), e);
    free(bytes);
    return img;
}

static int run(const char *const *args)
{
    char *out = NULL;
    const int code = program_run(args, NULL, &out);
    free(out);
    return code;
}

static void a_catalogue_has_a_folder_for_each_kind(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[400];
    assert_int_equal(run((const char *[]){"demo-pictures", "--each", "2", "--from=7", "--side", "32", dir, NULL}), 0);
    for (uint32_t kind = 0; kind < DRAW_KINDS; kind++)
        for (int seed = 7; seed < 9; seed++) {
            snprintf(path, sizeof path, "%s/%s/%d.jpg", dir, draw_kind_name(kind), seed);
            struct image img = load(path);
            assert_int_equal(img.width, 32);
            image_clear(&img);
        }
    t_remove_dir(dir);
}

static void a_sheet_has_a_cell_for_each_name(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), command[1600];
    assert_int_equal(run((const char *[]){"demo-pictures", "--each", "1", "--side", "32", dir, NULL}), 0);
    snprintf(command, sizeof command,
             "printf '=%s/fish/1.jpg\\t+%s/mug/1.jpg\\t-%s/sea/1.jpg\\n%s/leaf/1.jpg\\n' | "
             "%s sheet --side 20 %s/out.png",
             dir, dir, dir, dir, program_path(), dir);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/out.png", dir);
    struct image sheet = load(command);
    assert_int_equal(sheet.width, 3 * 34 + 6);
    assert_int_equal(sheet.height, 2 * 34 + 6);
    const uint8_t *row = sheet.rgb + 7 * sheet.width * 3; /* through the upper frames */
    assert_memory_equal(row + (6 + 1) * 3, "\x1e\x5a\xc8", 3);
    assert_memory_equal(row + (6 + 34 + 1) * 3, "\x28\xa0\x46", 3);
    assert_memory_equal(row + (6 + 68 + 1) * 3, "\xd2\x32\x28", 3);
    image_clear(&sheet);
    t_remove_dir(dir);
}

static void wrong_use_is_told_by_the_exit_code(void **state)
{
    UNUSED(state);
    char command[600];
    assert_int_equal(run((const char *[]){"demo-pictures", NULL}), 2);
    assert_int_equal(run((const char *[]){"demo-pictures", "--each", "0", "x", NULL}), 2);
    assert_int_equal(run((const char *[]){"sheet", "--side", "7", "x", NULL}), 2);
    snprintf(command, sizeof command, "echo no/such/file | %s sheet /dev/null 2>/dev/null", program_path());
    assert_int_equal(WEXITSTATUS(system(command)), 1);
    snprintf(command, sizeof command, "%s sheet /dev/null 2>/dev/null </dev/null", program_path());
    assert_int_equal(WEXITSTATUS(system(command)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_catalogue_has_a_folder_for_each_kind),
        cmocka_unit_test(a_sheet_has_a_cell_for_each_name),
        cmocka_unit_test(wrong_use_is_told_by_the_exit_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
