/* test_eval_command.c - `anchord eval` gives every figure, of the pictures that have a label. */
#include "tests/t.h"

#include "base/json.h"
#include "engine/pictures/alter.h"
#include "engine/pictures/draw.h"
#include "engine/training/report_log.h"
#include "tests/lib/command.h"
#include "tests/lib/lessons.h"

enum { KINDS = 5, EACH = 20 };

static void all_figures_are_there_and_a_loose_picture_is_no_label(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), *other = t_make_dir(), path[400];
    struct err e = {0};
    double n, figures[FIGURES];
    struct model *m = lesson_model(1);
    snprintf(path, sizeof path, "%s/m.safetensors", dir);
    assert_ok(model_save(m, path, &e), e);
    for (uint32_t k = 0; k < KINDS; k++) {
        lesson_draw(dir, k, 0, EACH, 40);
        lesson_draw(other, k, 100, EACH, 40);
    }
    lesson_draw_flat(dir, 9, 2, 40);
    char *out = command(0, "eval", "--model", path, "--data", dir, "--train", other, NULL);
    struct json *doc = json_parse(out, strlen(out), 0, &e);
    assert_ok(doc != NULL, e);
    report_log_figures(json_member(doc, "figures"), figures);
    for (size_t f = 0; f < FIGURES; f++)
        if (isfinite(figures[f]) != (f != FIGURE_INSTANCE))
            fail_msg("%s is %g", figure_names[f].key, figures[f]);
    assert_true(json_as_number(json_member(doc, "pictures"), &n) && n == KINDS * EACH);
    assert_true(json_as_number(json_member(json_member(doc, "figures"), "queries"), &n) && n == KINDS * EACH);
    json_free(doc);
    free(out);
    out = command(0, "eval", "--model", path, "--data", dir, "--train", other, "--temperature", "0.1", "--no-probe",
                  "--invariance", NULL);
    doc = json_parse(out, strlen(out), 0, &e);
    assert_ok(doc != NULL, e);
    assert_null(json_member(json_member(doc, "figures"), "linear_probe"));
    for (enum alteration a = ALTER_CROP; a < ALTERATIONS; a++)
        if (!json_as_number(json_member(json_member(doc, "invariance"), alteration_name(a)), &n) || !(n > 0 && n <= 1))
            fail_msg("invariance to %s: %s", alteration_name(a), out);
    json_free(doc);
    free(out);
    command_only(2, "eval", "--model", path, "--data", dir, "--temperature", "0", NULL);
    command_only(1, "eval", "--model", path, "--data", "/nowhere", NULL);
    command_only(2, "eval", "--data", dir, NULL);
    model_free(m);
    t_remove_dir(dir);
    t_remove_dir(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_figures_are_there_and_a_loose_picture_is_no_label),
    };
    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
