/* test_damaged.c - damage on the disk, as the commands and the running server meet it. */
#include "tests/t.h"

#include <sys/stat.h>

#include "tests/lib/command.h"
#include "tests/lib/damage.h"
#include "tests/lib/expect.h"

struct place {
    char *dir, data[300], pictures[300];
};

static void open_place(struct place *p)
{
    p->dir = t_make_dir();
    snprintf(p->data, sizeof p->data, "%s/data", p->dir);
    snprintf(p->pictures, sizeof p->pictures, "%s/pictures", p->dir);
    assert_int_equal(mkdir(p->pictures, 0700), 0);
}

static void import_says(const struct place *p, const char *words)
{
    char *out =
        command(0, "import", "--data", p->data, "--model", small_model(), "--precision", "fp32", p->pictures, NULL);
    assert_contains(out, words);
    free(out);
}

/* To the folder itself, or through the server that holds it. */
static void import_heals(bool through_server)
{
    struct place p;
    struct server s;
    char blob[400];
    open_place(&p);
    write_picture(p.pictures, "cat.jpg", 1);
    import_says(&p, "1 added");
    damage_find_blob(p.data, blob);
    damage_bit(blob, 200);
    assert_false(damage_blob_is_whole(blob));
    if (through_server)
        expect_start(&s, &(struct server_options){.dir = p.data});
    import_says(&p, "1 replaced");
    assert_true(damage_blob_is_whole(blob));
    import_says(&p, "1 unchanged");
    if (through_server)
        expect_stop(&s);
    t_remove_dir(p.dir);
}

static void an_import_heals_a_damaged_picture_in_the_folder(void **state)
{
    UNUSED(state);
    import_heals(false);
}

static void an_import_heals_a_damaged_picture_through_the_server(void **state)
{
    UNUSED(state);
    import_heals(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_import_heals_a_damaged_picture_in_the_folder),
        cmocka_unit_test(an_import_heals_a_damaged_picture_through_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
