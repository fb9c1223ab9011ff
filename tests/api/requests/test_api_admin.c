/* test_api_admin.c - collections, models, keys and backups; what an empty data folder is given. */
#include "tests/t.h"

#include "base/file.h"
#include "base/hash.h"
#include "engine/arch_resnet.h"
#include "tests/lib/damage.h"
#include "tests/lib/rig.h"

static struct outcome admin(const char *line, const char *json)
{
    return rig_ask(rig, line, &(struct extra){.admin = true, .type = json ? "application/json" : NULL, .body = json});
}

static void a_new_folder_has_an_untrained_model_and_a_collection(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200, "GET /v1/models", NULL);
    bool trained = true, standard = false;
    assert_int_equal(json_count(outcome_at(&o, "data")), 1);
    assert_string_equal(outcome_text(&o, "data.0.id"), "anchord-base");
    assert_true(json_as_bool(outcome_at(&o, "data.0.trained"), &trained) && !trained);
    assert_true(json_as_bool(outcome_at(&o, "data.0.default"), &standard) && standard);
    assert_true(outcome_number(&o, "data.0.dimensions") == RIG_DIMENSIONS);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "GET /v1/collections/default", NULL);
    assert_string_equal(outcome_text(&o, "model"), "anchord-base");
    assert_true(outcome_number(&o, "images") == 0);
    outcome_clear(&o);
}

static void a_collection_is_made_once_and_kept_as_it_is(void **state)
{
    UNUSED(state);
    static const struct {
        const char *line, *json;
        int status;
    } steps[] = {
        {"GET /v1/collections/flowers", NULL, 404},
        {"PUT /v1/collections/flowers", "{\"index\":\"tree\"}", 400},
        {"PUT /v1/collections/flowers", "{\"index\":5}", 400},
        {"PUT /v1/collections/flowers", "{\"model\":\"none\"}", 404},
        {"PUT /v1/collections/flowers", "{\"model\":\"a/b\"}", 400},
        {"PUT /v1/collections/flowers", "{\"dimensions\":5}", 400},
        {"PUT /v1/collections/flowers", "{\"index\":\"flat\",\"model\":\"anchord-base\"}", 201},
        {"PUT /v1/collections/flowers", "{\"index\":\"flat\",\"model\":\"anchord-base\"}", 200},
        {"PUT /v1/collections/flowers", "{}", 200},
        {"PUT /v1/collections/flowers", NULL, 200},
        {"PUT /v1/collections/flowers", "{\"index\":\"hnsw\"}", 409},
        {"PUT /v1/collections/flowers", "{\"model\":\"other\"}", 409},
        {"DELETE /v1/collections/default", NULL, 409},
        {"DELETE /v1/collections/flowers", NULL, 204},
        {"DELETE /v1/collections/flowers", NULL, 404},
        {"GET /v1/collections/flowers", NULL, 404},
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct outcome o = admin(steps[i].line, steps[i].json);
        if (o.status != steps[i].status)
            fail_msg("%s %s gave %d: %s", steps[i].line, steps[i].json, o.status, o.body.data);
        outcome_clear(&o);
    }
}

/* A new collection never shows what an old one of its name held. */
static void generations_are_never_used_again(void **state)
{
    UNUSED(state);
    double before = 0;
    for (int i = 0; i < 3; i++) {
        struct outcome o = admin("PUT /v1/collections/again", NULL);
        assert_int_equal(o.status, 201);
        assert_true(outcome_number(&o, "generation") > before);
        before = outcome_number(&o, "generation");
        outcome_clear(&o);
        o = admin("DELETE /v1/collections/again", NULL);
        outcome_clear(&o);
    }
}

/* ---- models ---- */

static struct model *small_model_with(uint32_t stem_width, uint32_t side, uint32_t stem, uint64_t seed)
{
    struct arch a = RESNET_OF(RESNET_18, stem, stem_width, 0);
    struct preprocess p = preprocess_imagenet;
    struct err e = {0};
    p.size = p.resize = side;
    struct model *m = model_new_random(&a, &p, seed, &e);
    assert_non_null(m);
    return m;
}

/* The bytes of its file; frees the model. */
static struct buf file_of(struct model *m)
{
    struct buf out = {0};
    struct err e = {0};
    char path[300];
    void *bytes;
    size_t len;
    snprintf(path, sizeof path, "%s/made", rig->dir);
    assert_ok(model_save(m, path, &e), e);
    assert_ok(file_read(path, 1 << 28, &bytes, &len, &e), e);
    buf_add(&out, bytes, len);
    free(bytes);
    model_free(m);
    unlink(path);
    return out;
}

static struct buf model_file(uint64_t seed, bool goldens)
{
    struct err e = {0};
    struct model *m = small_model_with(8, 32, STEM_SMALL2, seed);
    if (goldens)
        assert_ok(encoder_make_goldens(m, &e), e);
    return file_of(m);
}

static struct outcome import(const char *line, const struct buf *file)
{
    return rig_ask(
        rig, line,
        &(struct extra){.admin = true, .type = "application/octet-stream", .body = file->data, .len = file->len});
}

static void an_imported_model_embeds_and_is_deleted_when_unused(void **state)
{
    UNUSED(state);
    struct buf file = model_file(5, true), picture = rig_picture(1, 1);
    struct extra x = {.body = picture.data, .len = picture.len};
    struct outcome o = import("POST /v1/models?id=second", &file);
    if (o.status != 201)
        fail_msg("%d %s", o.status, o.body.data);
    assert_string_equal(outcome_text(&o, "id"), "second");
    outcome_clear(&o);
    o = import("POST /v1/models?id=second", &file); /* the same again */
    assert_int_equal(o.status, 200);
    outcome_clear(&o);
    struct outcome base = rig_expect(rig, 200, "POST /v1/embeddings", &x),
                   other = rig_expect(rig, 200, "POST /v1/embeddings?model=second", &x);
    assert_string_equal(outcome_text(&other, "model"), "second");
    assert_true(outcome_number(&base, "data.0.embedding.0") != outcome_number(&other, "data.0.embedding.0"));
    outcome_clear(&base);
    outcome_clear(&other);
    o = admin("PUT /v1/collections/uses", "{\"model\":\"second\"}");
    assert_int_equal(o.status, 201);
    outcome_clear(&o);
    o = rig_expect(rig, 201, "PUT /v1/collections/uses/images/a", &x);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "POST /v1/collections/uses/search", &x);
    assert_string_equal(outcome_text(&o, "model"), "second");
    outcome_clear(&o);
    o = admin("DELETE /v1/models/second", NULL);
    assert_int_equal(o.status, 409);
    outcome_clear(&o);
    o = admin("DELETE /v1/collections/uses", NULL);
    outcome_clear(&o);
    o = admin("DELETE /v1/models/second", NULL);
    assert_int_equal(o.status, 200);
    assert_string_equal(outcome_text(&o, "object"), "model");
    outcome_clear(&o);
    o = rig_expect(rig, 404, "POST /v1/embeddings?model=second", &x);
    outcome_clear(&o);
    buf_clear(&file);
    buf_clear(&picture);
}

static void a_model_without_goldens_gets_them_and_an_id(void **state)
{
    UNUSED(state);
    struct buf file = model_file(6, false), picture = rig_picture(1, 1);
    struct outcome o = import("POST /v1/models", &file);
    if (o.status != 201)
        fail_msg("%d %s", o.status, o.body.data);
    char id[64], line[128], fingerprint[HASH_HEX];
    snprintf(id, sizeof id, "%s", outcome_text(&o, "id"));
    snprintf(fingerprint, sizeof fingerprint, "%s", outcome_text(&o, "fingerprint"));
    assert_memory_equal(id, "resnet18-", 9);
    assert_memory_equal(id + 9, fingerprint, 8);
    outcome_clear(&o);
    rig_reopen(rig); /* it is loaded anew, and proves itself by its goldens */
    snprintf(line, sizeof line, "POST /v1/embeddings?model=%s", id);
    o = rig_expect(rig, 200, line, &(struct extra){.body = picture.data, .len = picture.len});
    outcome_clear(&o);
    buf_clear(&file);
    buf_clear(&picture);
}

static void what_is_no_model_is_refused(void **state)
{
    UNUSED(state);
    struct buf file = model_file(7, true), other = model_file(8, true);
    static const char *const junk[] = {"x", "{}", "\x08\0\0\0\0\0\0\0{}      "};
    for (size_t i = 0; i < COUNT(junk); i++) {
        struct buf b = {0};
        buf_add(&b, junk[i], i == 2 ? 16 : strlen(junk[i]));
        struct outcome o = import("POST /v1/models?id=junk", &b);
        assert_int_equal(o.status, 400);
        outcome_clear(&o);
        buf_clear(&b);
    }
    size_t whole = file.len;
    file.len -= 4;
    struct outcome o = import("POST /v1/models?id=cut", &file);
    assert_int_equal(o.status, 400);
    outcome_clear(&o);
    file.len = whole;
    memset(file.data + file.len - 4, 0xff, 4); /* NaN */
    o = import("POST /v1/models?id=nan", &file);
    assert_int_equal(o.status, 400);
    outcome_clear(&o);
    o = import("POST /v1/models?id=anchord-base", &other);
    assert_int_equal(o.status, 409);
    outcome_clear(&o);
    o = import("POST /v1/models?id=..", &other);
    assert_int_equal(o.status, 400);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "GET /v1/models/anchord-base", NULL); /* and it still serves */
    outcome_clear(&o);
    o = admin("DELETE /v1/models/anchord-base", NULL);
    assert_int_equal(o.status, 409);
    outcome_clear(&o);
    o = admin("DELETE /v1/models/none", NULL);
    assert_int_equal(o.status, 404);
    outcome_clear(&o);
    buf_clear(&file);
    buf_clear(&other);
}

static void refused_for(struct model *m, const char *why)
{
    struct buf file = file_of(m);
    struct outcome o = import("POST /v1/models?id=wrong", &file);
    if (o.status != 400)
        fail_msg("%d %s", o.status, o.body.data);
    if (!strstr(outcome_text(&o, "error.message"), "the model fails its check") ||
        !strstr(outcome_text(&o, "error.message"), why))
        fail_msg("%s is not about %s", outcome_text(&o, "error.message"), why);
    outcome_clear(&o);
    buf_clear(&file);
    o = rig_expect(rig, 404, "GET /v1/models/wrong", NULL);
    outcome_clear(&o);
}

static struct model *with_goldens(void)
{
    struct err e = {0};
    struct model *m = small_model_with(8, 32, STEM_SMALL2, 9);
    assert_ok(encoder_make_goldens(m, &e), e);
    return m;
}

static void a_model_that_fails_its_check_is_a_bad_request_that_says_why(void **state)
{
    UNUSED(state);
    struct model *m = with_goldens(); /* they deviate */
    float *first = m->goldens[0].vector;
    m->goldens[0].vector = m->goldens[1].vector;
    m->goldens[1].vector = first;
    refused_for(m, "the golden images deviate");

    m = with_goldens(); /* a broken picture */
    memset((char *)m->goldens[1].png + m->goldens[1].png_len / 2, 0x55, 20);
    refused_for(m, "golden image 1");

    m = small_model_with(8, 32, STEM_SMALL2, 10); /* weights that give nothing */
    for (size_t i = 0; i < m->n_weights; i++)
        for (size_t k = 0; k < m->weights[i].count; k++)
            m->weights[i].data[k] = 1e-45f;
    model_seal(m);
    refused_for(m, "the same vector");
}

static void a_model_that_would_take_gigabytes_is_refused_by_the_limit(void **state)
{
    UNUSED(state);
    refused_for(small_model_with(64, 1024, STEM_SMALL1, 11), "the limit is 384 MB");
}

static bool has_file(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    return access(path, F_OK) == 0;
}

static void what_a_crash_left_among_the_models_is_swept_at_the_start(void **state)
{
    UNUSED(state);
    static const char *const left[] = {"models/big.safetensors.AbCdEf", "models/lost.safetensors", "models/note.txt"};
    struct err e = {0};
    for (size_t i = 0; i < COUNT(left); i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", rig->dir, left[i]);
        assert_ok(file_replace(path, "half a model", 12, &e), e);
    }
    rig_reopen(rig);
    assert_false(has_file(left[0]));
    assert_false(has_file(left[1])); /* it could be somebody's */
    assert_true(has_file("strays/lost.safetensors"));
    assert_true(has_file(left[2]));
    assert_true(has_file("models/anchord-base.safetensors"));
}

/* ---- keys and backups ---- */

static struct outcome delete_key(const char *id)
{
    char line[64];
    snprintf(line, sizeof line, "DELETE /v1/keys/%s", id);
    return admin(line, NULL);
}

/* Expects a refusal that no retry helps. */
static void assert_conflict(struct outcome o)
{
    if (o.status != 409)
        fail_msg("%d %s", o.status, o.body.data);
    assert_string_equal(outcome_header(&o, "x-should-retry"), "false");
    outcome_clear(&o);
}

static int key_count(void)
{
    struct outcome list = admin("GET /v1/keys", NULL);
    int n = 0;
    for (const char *at = list.body.data; (at = strstr(at, "\"object\":\"key\"")); at++)
        n++;
    outcome_clear(&list);
    return n;
}

static void as_long_as_there_are_keys_one_of_them_may_manage_them(void **state)
{
    UNUSED(state);
    unsigned version = atomic_load(&rig->app->keys_version);
    assert_conflict(admin("POST /v1/keys", "{\"role\":\"read\"}"));
    assert_conflict(admin("POST /v1/keys", "{\"role\":\"write\"}"));
    assert_int_equal(key_count(), 0);
    assert_true(atomic_load(&rig->app->keys_version) == version);
    struct outcome chief = admin("POST /v1/keys", "{\"role\":\"admin\"}"),
                   reader = admin("POST /v1/keys", "{\"role\":\"read\"}");
    assert_int_equal(chief.status, 201);
    assert_int_equal(reader.status, 201);
    assert_conflict(delete_key(outcome_text(&chief, "id")));
    assert_int_equal(key_count(), 2);
    struct outcome second = admin("POST /v1/keys", "{\"role\":\"admin\"}");
    const char *last_but_one[] = {outcome_text(&chief, "id"), outcome_text(&reader, "id"), outcome_text(&second, "id")};
    for (size_t i = 0; i < COUNT(last_but_one); i++) {
        struct outcome gone = delete_key(last_but_one[i]);
        assert_int_equal(gone.status, 204);
        outcome_clear(&gone);
    }
    assert_int_equal(key_count(), 0); /* open again, as before the first */
    outcome_clear(&chief);
    outcome_clear(&reader);
    outcome_clear(&second);
}

static void a_key_in_the_settings_may_manage_those_of_the_folder(void **state)
{
    UNUSED(state);
    rig->app->options.admin_in_settings = true;
    struct outcome o = admin("POST /v1/keys", "{\"role\":\"read\"}"), gone = delete_key(outcome_text(&o, "id"));
    assert_int_equal(o.status, 201);
    assert_int_equal(gone.status, 204);
    rig->app->options.admin_in_settings = false;
    outcome_clear(&o);
    outcome_clear(&gone);
}

static void a_key_is_shown_once_and_kept_as_a_hash(void **state)
{
    UNUSED(state);
    unsigned version = atomic_load(&rig->app->keys_version);
    struct outcome o = admin("POST /v1/keys", "{\"role\":\"admin\",\"name\":\"camera <1>\"}");
    assert_int_equal(o.status, 201);
    const char *text = outcome_text(&o, "key"), *id = outcome_text(&o, "id");
    assert_int_equal(strlen(text), 57);
    assert_memory_equal(text, "anch_", 5);
    assert_memory_equal(text + 5, id, 8);
    assert_true(text[13] == '_');
    assert_true(id[strcspn(id, "-_")] == 0);
    assert_string_equal(outcome_header(&o, "cache-control"), "no-store");
    assert_true(atomic_load(&rig->app->keys_version) > version);
    struct outcome list = admin("GET /v1/keys", NULL);
    assert_string_equal(outcome_text(&list, "data.0.name"), "camera <1>");
    assert_string_equal(outcome_text(&list, "data.0.role"), "admin");
    assert_null(strstr(list.body.data, text + 14));
    struct key_row *rows;
    size_t n;
    struct err e = {0};
    unsigned char hash[HASH_SIZE];
    assert_ok(store_keys(rig->app->store, &rows, &n, &e), e);
    hash_bytes(text, strlen(text), hash);
    assert_memory_equal(rows[0].hash, hash, sizeof hash);
    free(rows);
    version = atomic_load(&rig->app->keys_version);
    struct outcome gone = delete_key(id), again = delete_key(id);
    assert_int_equal(gone.status, 204);
    assert_int_equal(again.status, 404);
    assert_true(atomic_load(&rig->app->keys_version) == version + 1);
    outcome_clear(&o);
    outcome_clear(&list);
    outcome_clear(&gone);
    outcome_clear(&again);
    static const char *const bad[] = {"{}", "{\"role\":\"root\"}", "{\"role\":null}",
                                      "{\"role\":\"read\",\"id\":\"x\"}", "{\"role\":\"none\"}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        o = admin("POST /v1/keys", bad[i]);
        assert_int_equal(o.status, 400);
        outcome_clear(&o);
    }
}

static void a_backup_is_made_and_restores(void **state)
{
    UNUSED(state);
    rig_put(rig, "saved", 3, 3, "l");
    struct outcome o = admin("POST /v1/backups", NULL);
    if (o.status != 201)
        fail_msg("%d %s", o.status, o.body.data);
    char from[300], to[300];
    struct err e = {0};
    snprintf(from, sizeof from, "%s/backups/%s", rig->dir, outcome_text(&o, "name"));
    snprintf(to, sizeof to, "%s/restored", rig->dir);
    struct outcome list = admin("GET /v1/backups", NULL);
    assert_string_equal(outcome_text(&list, "data.0.name"), outcome_text(&o, "name"));
    assert_true(outcome_number(&list, "data.0.images") >= 1);
    assert_ok(store_restore(from, to, NULL, &e), e);
    outcome_clear(&o);
    outcome_clear(&list);
    o = admin("POST /v1/backups", "{\"name\":\"../../x\"}");
    assert_int_equal(o.status, 400);
    outcome_clear(&o);
    o = admin("GET /v1/backups/..", NULL);
    assert_int_equal(o.status, 400);
    outcome_clear(&o);
}

static void damage_hurt(void)
{
    struct outcome o = admin("GET /v1/collections/default/images/hurt", NULL);
    const char *hash = outcome_text(&o, "sha256");
    char path[400];
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", rig->dir, hash, hash);
    damage_bit(path, 50);
    outcome_clear(&o);
}

static void a_backup_tells_what_it_had_to_leave_out_and_can_be_deleted(void **state)
{
    UNUSED(state);
    char line[200];
    rig_put(rig, "hurt", 2, 77, NULL);
    damage_hurt();
    struct outcome o = admin("POST /v1/backups", NULL);
    assert_int_equal(o.status, 201);
    assert_true(outcome_number(&o, "left_out") == 1);
    assert_string_equal(outcome_text(&o, "damaged.0.id"), "hurt");
    assert_string_equal(outcome_text(&o, "damaged.0.collection"), "default");
    assert_null(outcome_at(&o, "missing.0"));
    snprintf(line, sizeof line, "GET /v1/backups/%s", outcome_text(&o, "name"));
    struct outcome one = admin(line, NULL);
    assert_int_equal(one.status, 200);
    assert_string_equal(outcome_text(&one, "damaged.0.id"), "hurt");
    outcome_clear(&one);
    snprintf(line, sizeof line, "DELETE /v1/backups/%s", outcome_text(&o, "name"));
    one = admin(line, NULL);
    assert_int_equal(one.status, 204);
    outcome_clear(&one);
    one = admin(line, NULL);
    assert_int_equal(one.status, 404);
    outcome_clear(&one);
    outcome_clear(&o);
    rig_put(rig, "hurt", 2, 77, NULL); /* heals it */
}

static void readiness_tells_what_is_wrong(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200, "GET /readyz", NULL);
    outcome_clear(&o);
    atomic_store(&rig->app->demand.draining, true);
    o = rig_expect(rig, 503, "GET /readyz", NULL);
    bool draining = false;
    assert_true(json_as_bool(outcome_at(&o, "draining"), &draining) && draining);
    outcome_clear(&o);
    atomic_store(&rig->app->demand.draining, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_folder_has_an_untrained_model_and_a_collection),
        cmocka_unit_test(a_collection_is_made_once_and_kept_as_it_is),
        cmocka_unit_test(generations_are_never_used_again),
        cmocka_unit_test(an_imported_model_embeds_and_is_deleted_when_unused),
        cmocka_unit_test(a_model_without_goldens_gets_them_and_an_id),
        cmocka_unit_test(what_a_crash_left_among_the_models_is_swept_at_the_start),
        cmocka_unit_test(a_model_that_fails_its_check_is_a_bad_request_that_says_why),
        cmocka_unit_test(a_model_that_would_take_gigabytes_is_refused_by_the_limit),
        cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(a_key_is_shown_once_and_kept_as_a_hash),
        cmocka_unit_test(as_long_as_there_are_keys_one_of_them_may_manage_them),
        cmocka_unit_test(a_key_in_the_settings_may_manage_those_of_the_folder),
        cmocka_unit_test(a_backup_is_made_and_restores),
        cmocka_unit_test(a_backup_tells_what_it_had_to_leave_out_and_can_be_deleted),
        cmocka_unit_test(readiness_tells_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
