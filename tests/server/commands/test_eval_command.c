/* test_eval_command.c - `anchord eval` gives every figure, of the pictures that have a label; with --protocol transfer over several folders. */
#include "tests/t.h"

#include "base/file.h"
#include "base/json.h"
#include "engine/pictures/alter.h"
#include "engine/pictures/draw.h"
#include "engine/training/report_log.h"
#include "tests/lib/command.h"
#include "tests/lib/training_fixture.h"

enum { KINDS = 5, EACH = 20 };

static void all_figures_are_there_and_a_loose_picture_is_no_label(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), *other = t_make_dir(), path[400];
    struct err e = {0};
    double n, figures[FIGURES];
    struct model *m = training_fixture_model(1);
    snprintf(path, sizeof path, "%s/m.safetensors", dir);
    assert_ok(model_save(m, path, &e), e);
    for (uint32_t k = 0; k < KINDS; k++) {
        training_fixture_draw(dir, k, 0, EACH, 40);
        training_fixture_draw(other, k, 100, EACH, 40);
    }
    training_fixture_draw_flat(dir, 9, 2, 40);
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

static double number_at(const struct json *v, const char *key)
{
    double x;
    return json_as_number(json_member(v, key), &x) ? x : (double)NAN;
}

/* DIR/parts has `train` and `test`, DIR/whole is split, DIR/few has labels for neither. */
static void draw_folders(const char *dir, char parts[400], char whole[400], char few[400])
{
    char train[410], test[410];
    struct err e = {0};
    snprintf(parts, 400, "%.300s/parts", dir);
    snprintf(whole, 400, "%.300s/whole", dir);
    snprintf(few, 400, "%.300s/few", dir);
    snprintf(train, sizeof train, "%s/train", parts);
    snprintf(test, sizeof test, "%s/test", parts);
    assert_ok(file_make_dirs(train, &e) && file_make_dirs(test, &e) && file_make_dirs(whole, &e) &&
                  file_make_dirs(few, &e),
              e);
    for (uint32_t k = 0; k < KINDS; k++) {
        training_fixture_draw(train, k, 0, 16, 40);
        training_fixture_draw(test, k, 100, 10, 40);
        training_fixture_draw(whole, k + 6, 0, EACH, 40);
    }
    for (uint32_t k = 0; k < 3; k++)
        training_fixture_draw(few, k, 0, 6, 40);
}

static struct json *run_json(const char *const args[])
{
    struct err e = {0};
    char *out =
        command(0, "eval", args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8], NULL);
    struct json *doc = json_parse(out, strlen(out), 0, &e);
    if (!doc)
        fail_msg("%s: %s", e.text, out);
    free(out);
    return doc;
}

static void transfer_is_a_table_over_folders(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), model[400], parts[400], whole[400], few[400], train[410], test[410];
    struct err e = {0};
    struct model *m = training_fixture_model(1);
    snprintf(model, sizeof model, "%s/m.safetensors", dir);
    assert_ok(model_save(m, model, &e), e);
    draw_folders(dir, parts, whole, few);
    snprintf(train, sizeof train, "%s/train", parts);
    snprintf(test, sizeof test, "%s/test", parts);

    struct json *doc =
        run_json((const char *[]){"--protocol", "transfer", "--json", "--model", model, parts, whole, few, NULL});
    const struct json *rows = json_member(doc, "folders"), *mean = json_member(doc, "mean");
    const struct json *a = json_item(rows, 0), *b = json_item(rows, 1), *c = json_item(rows, 2);
    assert_int_equal(json_count(rows), 3);
    assert_string_equal(json_as_text(json_member(b, "folder"), NULL), whole);
    assert_true(number_at(a, "train") == KINDS * 16 && number_at(a, "test") == KINDS * 10); /* as they lie */
    assert_true(number_at(b, "train") == KINDS * EACH * 4 / 5 &&
                number_at(b, "test") == KINDS * EACH / 5); /* a fifth of each */
    assert_true(number_at(a, "few_shot") > 0.2 && number_at(b, "few_shot") > 0.2 &&
                number_at(a, "few_shot_interval") > 0);
    assert_true(isnan(number_at(c, "few_shot")) && number_at(c, "few_shot_labels") == 0);
    assert_true(fabs(number_at(mean, "few_shot") - (number_at(a, "few_shot") + number_at(b, "few_shot")) / 2) < 1e-5);
    assert_true(number_at(mean, "few_shot_folders") == 2);
    assert_true(fabs(number_at(mean, "knn") - (number_at(a, "knn") + number_at(b, "knn") + number_at(c, "knn")) / 3) <
                1e-5);

    /* The same classifiers as without the protocol. */
    struct json *same =
        run_json((const char *[]){"--model", model, "--data", test, "--train", train, NULL, NULL, NULL});
    const struct json *figures = json_member(same, "figures");
    assert_true(fabs(number_at(figures, "knn_20") - number_at(a, "knn")) < 1e-5);
    assert_true(fabs(number_at(figures, "linear_probe") - number_at(a, "many_shot")) < 1e-5);
    json_free(same);
    json_free(doc);

    char *out = command(0, "eval", "--protocol", "transfer", "--model", model, whole, few, NULL), says[600];
    assert_contains(out, "\nmean ");
    snprintf(says, sizeof says, "\n%s: too few for few-shot: 0 labels have 20 pictures or more, and 5 are needed\n",
             few);
    assert_contains(out, says);
    free(out);
    model_free(m);
    t_remove_dir(dir);
}

static void what_transfer_cannot_judge_is_named(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), model[400], one[400], parts[400], whole[400], few[400], test[410];
    struct err e = {0};
    struct model *m = training_fixture_model(1);
    snprintf(model, sizeof model, "%s/m.safetensors", dir);
    assert_ok(model_save(m, model, &e), e);
    draw_folders(dir, parts, whole, few);
    snprintf(one, sizeof one, "%.300s/one", dir);
    assert_ok(file_make_dirs(one, &e), e);
    training_fixture_draw(one, 0, 0, 8, 40);
    char *out = command(1, "eval", "--protocol", "transfer", "--model", model, few, one, NULL);
    assert_contains(out, "/one: there is one label only");
    free(out);
    snprintf(test, sizeof test, "%s/test", parts);
    training_fixture_draw(test, 9, 0, 1, 40); /* a label that `train` has not */
    out = command(1, "eval", "--protocol", "transfer", "--model", model, parts, NULL);
    assert_contains(out, "/parts: train has 5 labels, test has 6");
    free(out);
    training_fixture_draw(one, 1, 0, 3, 40);
    for (unsigned i = 3; i < 8; i++) { /* three of each are left */
        char path[460];
        snprintf(path, sizeof path, "%s/%s/%03u.png", one, draw_kind_name(0), i);
        assert_int_equal(remove(path), 0);
    }
    out = command(1, "eval", "--protocol", "transfer", "--model", model, one, NULL);
    assert_contains(out, "/one: no label has four different pictures");
    free(out);
    command_only(1, "eval", "--protocol", "transfer", "--model", model, "/nowhere", NULL);
    command_only(2, "eval", "--protocol", "transfer", "--model", model, NULL);
    command_only(2, "eval", "--protocol", "transfer", "--no-probe", "--model", model, few, NULL);
    command_only(2, "eval", "--protocol", "magic", "--model", model, few, NULL);
    command_only(2, "eval", "--model", model, "--data", few, whole, NULL);
    model_free(m);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_figures_are_there_and_a_loose_picture_is_no_label),
        cmocka_unit_test(transfer_is_a_table_over_folders),
        cmocka_unit_test(what_transfer_cannot_judge_is_named),
    };
    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
