/* test_app.c - opening data folders: which model becomes the default one, and what is refused. */
#include "tests/t.h"

#include <sys/stat.h>

#include "api/services/app.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/arch_resnet.h"
#include "engine/encoder.h"

static char *dir;
static const char *shipped_file;

static int make_dir(void **state)
{
    UNUSED(state);
    log_set_level(LOG_OFF);
    json_init();
    dir = t_make_dir();
    return 0;
}

static int remove_dir(void **state)
{
    UNUSED(state);
    t_remove_dir(dir);
    return 0;
}

static struct app_options options(const char *data, const char *model_file)
{
    struct app_options o = {.store = {.min_free_bytes = 1},
                            .model_file = model_file,
                            .shipped_file = shipped_file,
                            .arch = RESNET(18, SMALL2, 8, 0),
                            .preprocess = preprocess_imagenet};
    o.store.dir = data;
    o.preprocess.size = o.preprocess.resize = 32;
    return o;
}

/* Writes a tiny model to DIR/name and gives its fingerprint. */
static void write_model(const char *name, uint64_t seed, char fingerprint[HASH_HEX])
{
    struct app_options o = options(dir, NULL);
    struct err e = {0};
    char path[300];
    struct model *m = model_new_random(&o.arch, &o.preprocess, seed, &e);
    assert_non_null(m);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(model_save(m, path, &e), e);
    memcpy(fingerprint, m->fingerprint, HASH_HEX);
    model_free(m);
}

static const char *below(const char *name)
{
    static char paths[4][300];
    static unsigned next;
    char *path = paths[next++ % COUNT(paths)];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

/* Opens, checks the default model's id and fingerprint, closes. */
static void assert_opens(const char *data, const char *model_file, const char *id, const char *fingerprint)
{
    struct app_options o = options(data, model_file);
    struct err e = {0};
    struct model_row row;
    struct collection_row collection;
    struct app *app = app_open(&o, &e);
    if (!app)
        fail_msg("app_open: %s", e.text);
    assert_string_equal(app->default_model, id);
    assert_ok(store_model(app->store, id, &row, &e), e);
    if (fingerprint)
        assert_string_equal(row.fingerprint, fingerprint);
    assert_ok(store_collection(app->store, "default", &collection, &e), e);
    model_row_clear(&row);
    app_close(app);
}

static void read_default_model(const char *data, struct model_row *row)
{
    struct app_options o = options(below(data), NULL);
    struct err e = {0};
    struct app *app = app_open(&o, &e);
    assert_ok(app != NULL, e);
    assert_ok(store_model(app->store, "anchord-base", row, &e), e);
    app_close(app);
}

static void assert_refuses(const char *data, const char *model_file, enum err_code code)
{
    struct app_options o = options(data, model_file);
    struct err e = {0};
    assert_null(app_open(&o, &e));
    if (e.code != code)
        fail_msg("%s: %s, expected %s", model_file ? model_file : data, e.text, err_name(code));
}

static void an_empty_folder_gets_random_weights_and_keeps_them(void **state)
{
    UNUSED(state);
    struct app_options o = options(below("one"), NULL);
    struct err e = {0};
    char first[HASH_HEX];
    struct model_row row;
    struct app *app = app_open(&o, &e);
    assert_non_null(app);
    assert_ok(store_model(app->store, "anchord-base", &row, &e), e);
    assert_false(row.trained);
    memcpy(first, row.fingerprint, sizeof first);
    model_row_clear(&row);
    app_close(app);
    assert_opens(below("one"), NULL, "anchord-base", first);
}

static void a_model_that_lies_in_a_new_folder_is_taken(void **state)
{
    UNUSED(state);
    struct err e = {0};
    char fingerprint[HASH_HEX];
    assert_ok(file_make_dirs(below("two/models"), &e), e);
    write_model("two/models/anchord-base.safetensors", 22, fingerprint);
    assert_opens(below("two"), NULL, "anchord-base", fingerprint);
    assert_opens(below("two"), NULL, "anchord-base", fingerprint);
}

static void a_new_folder_gets_the_model_that_comes_with_the_program(void **state)
{
    char shipped[HASH_HEX], put[HASH_HEX], data[300];
    struct err e = {0};
    UNUSED(state);
    write_model("shipped.safetensors", 6, shipped);
    shipped_file = below("shipped.safetensors");
    assert_opens(below("begun"), NULL, "anchord-base", shipped);
    /* a file that lies in the folder comes first */
    snprintf(data, sizeof data, "%s/put/models", dir);
    assert_ok(file_make_dirs(data, &e), e);
    write_model("put/models/anchord-base.safetensors", 7, put);
    assert_opens(below("put"), NULL, "anchord-base", put);
    shipped_file = NULL;
    assert_opens(below("old"), NULL, "anchord-base", NULL);
    struct model_row before, after;
    read_default_model("old", &before);
    shipped_file = below("shipped.safetensors");
    read_default_model("old", &after); /* a folder keeps what it began with */
    assert_string_equal(after.fingerprint, before.fingerprint);
    assert_string_not_equal(after.fingerprint, shipped);
    model_row_clear(&before);
    model_row_clear(&after);
    shipped_file = NULL;
    assert_opens(below("begun"), NULL, "anchord-base", shipped); /* which is a copy */
}

static void a_named_file_is_kept_under_its_name(void **state)
{
    UNUSED(state);
    char fingerprint[HASH_HEX], other[HASH_HEX];
    write_model("flowers.v1.safetensors", 33, fingerprint);
    assert_opens(below("three"), below("flowers.v1.safetensors"), "flowers.v1", fingerprint);
    assert_opens(below("three"), below("flowers.v1.safetensors"), "flowers.v1", fingerprint);
    write_model("flowers.v1.safetensors", 34, other); /* another model under the same name */
    assert_refuses(below("three"), below("flowers.v1.safetensors"), ERR_CONFLICT);
    write_model("flowers.v2.safetensors", 34, other);
    assert_opens(below("three"), below("flowers.v2.safetensors"), "flowers.v2", other);
}

static void what_is_no_model_or_no_id_stops_the_start(void **state)
{
    UNUSED(state);
    struct err e = {0};
    char fingerprint[HASH_HEX];
    assert_ok(file_replace(below("junk.safetensors"), "junk", 4, &e), e);
    assert_refuses(below("four"), below("junk.safetensors"), ERR_BAD_INPUT);
    assert_refuses(below("four"), below("nothing.safetensors"), ERR_NOT_FOUND);
    write_model("my model.safetensors", 5, fingerprint);
    assert_refuses(below("four"), below("my model.safetensors"), ERR_BAD_INPUT);
}

static void a_model_file_that_was_changed_stops_the_start(void **state)
{
    UNUSED(state);
    struct err e = {0};
    char fingerprint[HASH_HEX];
    void *bytes;
    size_t len;
    assert_opens(below("five"), NULL, "anchord-base", NULL);
    const char *path = below("five/models/anchord-base.safetensors");
    assert_ok(file_read(path, 1 << 26, &bytes, &len, &e), e);
    ((char *)bytes)[len - 1] ^= 1;
    assert_ok(file_replace(path, bytes, len, &e), e);
    free(bytes);
    assert_refuses(below("five"), NULL, ERR_CORRUPT);
    write_model("five/models/anchord-base.safetensors", 55, fingerprint); /* a good one, but not that one */
    assert_refuses(below("five"), NULL, ERR_CORRUPT);
    unlink(path);
    assert_refuses(below("five"), NULL, ERR_CORRUPT);
}

static void a_folder_is_opened_once(void **state)
{
    UNUSED(state);
    struct app_options o = options(below("six"), NULL);
    struct err e = {0};
    struct app *app = app_open(&o, &e);
    assert_non_null(app);
    assert_refuses(below("six"), NULL, ERR_BUSY);
    app_close(app);
    assert_opens(below("six"), NULL, "anchord-base", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_folder_gets_random_weights_and_keeps_them),
        cmocka_unit_test(a_model_that_lies_in_a_new_folder_is_taken),
        cmocka_unit_test(a_new_folder_gets_the_model_that_comes_with_the_program),
        cmocka_unit_test(a_named_file_is_kept_under_its_name),
        cmocka_unit_test(what_is_no_model_or_no_id_stops_the_start),
        cmocka_unit_test(a_model_file_that_was_changed_stops_the_start),
        cmocka_unit_test(a_folder_is_opened_once),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
