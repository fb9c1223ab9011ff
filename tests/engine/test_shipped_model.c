/* test_shipped_model.c - the model that comes with the program is found beside it, from wherever it is started. */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "engine/arch_resnet.h"
#include "engine/encoder.h"
#include "engine/model.h"
#include "tests/lib/command.h"
#include "tests/lib/process.h"

static void copy_to(const char *dir, const char *name, const char *from)
{
    struct err e = {0};
    void *bytes;
    size_t len;
    assert_ok(file_read(from, 1 << 28, &bytes, &len, &e), e);
    write_file(dir, name, bytes, len);
    free(bytes);
}

/* The program's own words about a picture, with the model that it finds. */
static char *embed(const char *program, const char *dir, int exit_code)
{
    char data[300], picture[300];
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(picture, sizeof picture, "%s/p.jpg", dir);
    setenv("ANCHORD", program, 1);
    char *out = command(exit_code, "embed", "--precision", "fp32", "--data", data, picture, NULL);
    unsetenv("ANCHORD");
    return out;
}

static void it_lies_beside_the_programs_folder(void **state)
{
    static const struct {
        const char *program, *model;
    } layouts[] = {{"checkout/build/anchord", "checkout/models/anchord-base.safetensors"},
                   {"usr/bin/anchord", "usr/share/anchord/anchord-base.safetensors"}};
    char *dir = t_make_dir(), program[300], model[300];
    UNUSED(state);
    char *original = strdup(program_path());
    write_picture(dir, "p.jpg", 1);
    for (size_t i = 0; i < COUNT(layouts); i++) {
        copy_to(dir, layouts[i].program, original);
        snprintf(program, sizeof program, "%s/%s", dir, layouts[i].program);
        assert_int_equal(chmod(program, 0755), 0);
        char *out = embed(program, dir, 1);
        assert_contains(out, "no model");
        free(out);

        copy_to(dir, layouts[i].model, small_model());
        out = embed(program, dir, 0);
        snprintf(model, sizeof model, "%s/%s", dir, layouts[i].model);
        char picture[300];
        snprintf(picture, sizeof picture, "%s/p.jpg", dir);
        char *named = command(0, "embed", "--precision", "fp32", "--model", model, picture, NULL);
        assert_string_equal(out, named);
        free(named);
        free(out);
    }
    free(original);
    t_remove_dir(dir);
}

/* Trained, small enough to come along, and its vectors are here what they were where it was made. */
static void the_one_of_the_checkout_is_whole(void **state)
{
    static const char path[] = "models/anchord-base.safetensors";
    struct err e = {0};
    struct stat s;
    bool foreign;
    double worst;
    UNUSED(state);
    assert_int_equal(stat(path, &s), 0);
    assert_true(s.st_size <= 25 * 1000 * 1000);
    struct model *m = model_load(path, &foreign, &e);
    assert_ok(m != NULL, e);
    assert_true(m->trained && !foreign && m->compact && m->n_goldens >= 4);
    assert_true(m->arch.variant == RESNET_18 && m->arch.set[RESNET_STEM] == STEM_SMALL2 && m->pre.size == 64);
    const enum precision precisions[] = {PRECISION_FP32, PRECISION_AUTO};
    for (size_t i = 0; i < COUNT(precisions); i++) {
        struct encoder *enc = encoder_new(m, &(struct encoder_options){.precision = precisions[i]}, &e);
        assert_ok(enc && encoder_check(enc, m, &worst, &e), e);
        encoder_release(enc);
    }
    model_free(m);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_lies_beside_the_programs_folder),
                                       cmocka_unit_test(the_one_of_the_checkout_is_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
