/* test_at_once.c - two calls at the same moment: what one looked up is another thing when it writes, because the other came between.
 *
 * Each call is driven up to its write; then something else happens; then it goes on.
 */
#include "tests/t.h"

#include <fcntl.h>
#include <glob.h>
#include <semaphore.h>
#include <sys/resource.h>

#include "api/services/models.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/model.h"
#include "tests/lib/rig.h"

static int set_up(void **state)
{
    rig_set_up(state);
    rig_add_model(rig, "second", 2);
    return 0;
}

static const struct extra *json(const char *body)
{
    static struct extra x;
    x = (struct extra){.type = "application/json", .body = body, .admin = true};
    return &x;
}

static const struct extra admin = {.admin = true};

static void expect(int status, const char *line, const struct extra *x)
{
    struct outcome o = rig_expect(rig, status, line, x);
    outcome_clear(&o);
}

/* Ends the call with this status; gives a number of its answer, NaN when it has none. */
static double end(struct rig_call *k, int status, const char *number)
{
    struct outcome o = rig_call_end(k);
    if (o.status != status)
        fail_msg("%d, expected %d: %.300s", o.status, status, o.body.data ? o.body.data : "");
    double x = number ? outcome_number(&o, number) : (double)NAN;
    outcome_clear(&o);
    return x;
}

/* ---- collections ---- */

#define SHARED "PUT /v1/collections/shared"

static void of_two_that_make_a_collection_one_gets_201_and_one_200(void **state)
{
    UNUSED(state);
    struct rig_call *first = rig_until_write(rig, SHARED, NULL), *second = rig_until_write(rig, SHARED, NULL);
    double made = end(first, 201, "generation");
    assert_true(end(second, 200, "generation") == made);
}

static void who_made_it_with_other_values_is_told(void **state)
{
    UNUSED(state);
    struct rig_call *first = rig_until_write(rig, SHARED, NULL),
                    *second = rig_until_write(rig, SHARED, json("{\"index\":\"flat\"}"));
    end(first, 201, NULL);
    end(second, 409, NULL);
}

static void a_collection_that_comes_and_goes_meanwhile_is_no_conflict(void **state)
{
    UNUSED(state);
    struct rig_call *slow = rig_until_write(rig, SHARED, NULL);
    for (int i = 0; i < 9; i++) {
        expect(201, SHARED, NULL);
        expect(204, "DELETE /v1/collections/shared", NULL);
    }
    end(slow, 201, NULL);
}

static void one_that_comes_before_each_write_and_goes_before_each_look_is_no_conflict(void **state)
{
    UNUSED(state);
    struct rig_call *slow = rig_until_write(rig, SHARED, NULL);
    for (int i = 0; i < 9 && slow->call.state == CALL_WRITES; i++) {
        struct err e = {0};
        expect(201, SHARED, NULL);
        (void)!store_write(rig->app->store, slow->call.writes[0], &e);
        call_step(&slow->call);
        expect(204, "DELETE /v1/collections/shared", NULL);
        if (slow->call.state != CALL_DONE)
            rig_call_step(slow);
    }
    end(slow, 200, NULL);
}

static void no_collection_is_made_of_a_model_that_was_deleted_meanwhile(void **state)
{
    UNUSED(state);
    struct rig_call *slow = rig_until_write(rig, SHARED, json("{\"model\":\"second\"}"));
    expect(200, "DELETE /v1/models/second", &admin);
    end(slow, 404, NULL);
    expect(404, "GET /v1/collections/shared", NULL);
}

static void a_model_that_was_made_anew_meanwhile_is_loaded_anew(void **state)
{
    UNUSED(state);
    struct rig_call *make = rig_until_write(rig, SHARED, json("{\"model\":\"second\"}"));
    struct rig_call *change =
        rig_until_write(rig, "POST /v1/collections/default/model", json("{\"model\":\"second\"}"));
    expect(200, "DELETE /v1/models/second", &admin);
    rig_add_model(rig, "second", 5);
    end(make, 201, NULL);
    end(change, 202, NULL);
    rig_settle(rig, "default");
    struct model_row model;
    struct collection_row c;
    struct err e = {0};
    assert_ok(store_model(rig->app->store, "second", &model, &e), e);
    assert_ok(store_collection(rig->app->store, "shared", &c, &e), e);
    assert_string_equal(c.fingerprint, model.fingerprint);
    assert_ok(store_collection(rig->app->store, "default", &c, &e), e);
    assert_string_equal(c.fingerprint, model.fingerprint);
    model_row_clear(&model);
}

static void an_upload_into_a_collection_that_was_made_anew_meanwhile_ends_in_the_new_one(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(1, 1);
    expect(201, SHARED, NULL);
    struct rig_call *slow =
        rig_until_write(rig, SHARED "/images/a", &(struct extra){.body = file.data, .len = file.len});
    expect(204, "DELETE /v1/collections/shared", NULL);
    expect(201, SHARED, json("{\"model\":\"second\"}"));
    end(slow, 201, NULL);
    expect(200, "GET /v1/collections/shared/images/a", NULL);
    buf_clear(&file);
}

/* ---- generations ---- */

static void post(struct write *w)
{
    sem_post(w->user);
}

/* Both writes in one group, so that nothing can be done between the two. */
static void write_together(struct rig_call *a, struct rig_call *b)
{
    struct write *both[] = {a->call.writes[0], b->call.writes[0]};
    struct err e = {0};
    sem_t done;
    sem_init(&done, 0, 0);
    for (size_t i = 0; i < COUNT(both); i++) {
        both[i]->done = post;
        both[i]->user = &done;
    }
    assert_ok(store_submit(rig->app->store, both, COUNT(both), &e), e);
    for (size_t i = 0; i < COUNT(both); i++)
        while (sem_wait(&done) != 0)
            ;
    sem_destroy(&done);
    rig_call_step(a);
    rig_call_step(b);
}

static void of_two_that_change_a_model_one_begins_and_the_other_is_told(void **state)
{
    UNUSED(state);
    static const struct extra change = {.type = "application/json", .body = "{\"model\":\"second\"}", .admin = true};
    rig_put(rig, "a", 0, 0, NULL);
    struct rig_call *first = rig_until_write(rig, "POST /v1/collections/default/model", &change);
    struct rig_call *second = rig_until_write(rig, "POST /v1/collections/default/model", &change);
    write_together(first, second);
    double begun = end(first, 202, "generation");
    assert_true(end(second, 200, "generation") == begun);
    rig_settle(rig, "default");
    first = rig_until_write(rig, "POST /v1/collections/default/rollback", &admin);
    second = rig_until_write(rig, "POST /v1/collections/default/rollback", &admin);
    write_together(first, second);
    begun = end(first, 202, "generation");
    assert_true(end(second, 200, "generation") == begun);
    rig_settle(rig, "default");
}

/* ---- images ---- */

static void of_two_that_hold_the_same_etag_one_changes_the_image(void **state)
{
    UNUSED(state);
    rig_put(rig, "a", 0, 0, NULL);
    struct outcome o = rig_expect(rig, 200, "GET /v1/collections/default/images/a", NULL);
    struct extra patch = {
        .type = "application/json", .body = "{\"label\":\"x\"}", .if_match = outcome_header(&o, "etag")};
    struct rig_call *first = rig_until_write(rig, "PATCH /v1/collections/default/images/a", &patch);
    struct rig_call *second = rig_until_write(rig, "PATCH /v1/collections/default/images/a", &patch);
    struct rig_call *third =
        rig_until_write(rig, "DELETE /v1/collections/default/images/a", &(struct extra){.if_match = patch.if_match});
    end(second, 200, NULL);
    end(first, 412, NULL);
    end(third, 412, NULL);
    outcome_clear(&o);
}

static void of_two_first_uploads_one_makes_the_image(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(1, 1);
    struct extra put = {.body = file.data, .len = file.len, .if_none_match = "*"};
    struct rig_call *first = rig_until_write(rig, "PUT /v1/collections/default/images/new", &put);
    struct rig_call *second = rig_until_write(rig, "PUT /v1/collections/default/images/new", &put);
    end(second, 201, NULL);
    end(first, 412, NULL);
    buf_clear(&file);
}

/* ---- a part of a batch ---- */

static char *batch_of_two(void)
{
    struct buf first = rig_base64(1, 1), second = rig_base64(2, 2), body = {0};
    buf_print(&body, "{\"images\":[{\"image\":\"%s\"},{\"image\":\"%s\"}]}", first.data, second.data);
    buf_clear(&first);
    buf_clear(&second);
    return buf_take(&body, NULL);
}

static void check_half(struct outcome *o)
{
    assert_int_equal(o->status, 200);
    assert_true(outcome_number(o, "data.0.status") == 201);
    assert_true(outcome_number(o, "data.1.status") == 503);
    assert_string_equal(outcome_text(o, "data.1.error.code"), "overloaded");
    outcome_clear(o);
    struct outcome count = rig_expect(rig, 200, "POST /v1/collections/default/images/count", NULL);
    assert_true(outcome_number(&count, "count") == 1);
    outcome_clear(&count);
}

static void a_file_that_cannot_be_made_fails_its_item_and_not_the_batch(void **state)
{
    UNUSED(state);
    char *body = batch_of_two();
    struct rig_call *k = rig_until_write(rig, "POST /v1/collections/default/images", json(body));
    struct rlimit usual, one_more;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    one_more =
        (struct rlimit){(rlim_t)lowest + 1, usual.rlim_max}; /* files of a group stay open until they are synced */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &one_more), 0);
    struct outcome o = rig_call_end(k);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    check_half(&o);
    free(body);
}

static void a_batch_that_cannot_go_on_after_a_change_of_the_model_tells_what_is_stored(void **state)
{
    UNUSED(state);
    char *body = batch_of_two();
    struct rig_call *k = rig_until_write(rig, "POST /v1/collections/default/images", json(body));
    k->call.writes[1]->image.put.generation--; /* as after a switch between two groups of the writer */
    struct err e = {0};
    for (size_t i = 0; i < 2; i++)
        (void)!store_write(rig->app->store, k->call.writes[i], &e);
    assert_int_equal(e.code, ERR_STALE);
    rig_call_step(k);
    assert_int_equal(k->call.state, CALL_WRITES);
    call_refuse(&k->call, &(struct err){.code = ERR_BUSY, .text = "the server is at capacity"});
    struct outcome o = rig_call_end(k);
    check_half(&o);
    free(body);
}

/* ---- models ---- */

#define IMPORT "POST /v1/models?id=new"

/* The file of a model with random weights. */
static struct buf model_file(uint64_t seed)
{
    char path[4096];
    struct err e = {0};
    struct buf b = {0};
    void *bytes;
    struct model *m = model_new_random(&rig->app->options.arch, &rig->app->options.preprocess, seed, &e);
    snprintf(path, sizeof path, "%s/new.safetensors", rig->dir);
    assert_ok(m && model_prove(m, &rig->app->options.encoder, &e) && model_save(m, path, &e), e);
    assert_ok(file_read(path, 64 << 20, &bytes, &b.len, &e), e);
    b.data = bytes;
    model_free(m);
    return b;
}

static size_t files_of_models(void)
{
    char path[4096];
    glob_t found;
    snprintf(path, sizeof path, "%s/models/*", rig->dir);
    size_t n = glob(path, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return n;
}

static void a_model_that_was_kept_meanwhile_under_the_id_stays_whole(void **state)
{
    UNUSED(state);
    struct buf file = model_file(7);
    struct err e = {0};
    struct rig_call *slow =
        rig_until_write(rig, IMPORT, &(struct extra){.body = file.data, .len = file.len, .admin = true});
    rig_add_model(rig, "new", 8);
    end(slow, 409, NULL);
    assert_ok(model_cache_verify(rig->app->models, "new", &e), e);
    assert_int_equal(files_of_models(), 3);
    buf_clear(&file);
}

static void the_same_model_may_come_twice_at_once(void **state)
{
    UNUSED(state);
    struct buf file = model_file(7);
    struct err e = {0};
    const struct extra x = {.body = file.data, .len = file.len, .admin = true};
    struct rig_call *slow = rig_until_write(rig, IMPORT, &x);
    expect(503, IMPORT, &x); /* one at a time: each holds a whole model */
    rig_add_model(rig, "new", 7);
    end(slow, 200, NULL);
    expect(200, IMPORT, &x);
    assert_ok(model_cache_verify(rig->app->models, "new", &e), e);
    assert_int_equal(files_of_models(), 3);
    buf_clear(&file);
}

static void a_model_that_is_deleted_and_made_anew_in_one_moment_keeps_its_file(void **state)
{
    UNUSED(state);
    struct buf file = model_file(7);
    struct err e = {0};
    const struct extra x = {.body = file.data, .len = file.len, .admin = true};
    struct rig_call *make = rig_until_write(rig, IMPORT, &x);
    rig_add_model(rig, "new", 8);
    struct rig_call *drop = rig_until_write(rig, "DELETE /v1/models/new", &admin);
    write_together(drop, make);
    end(drop, 200, NULL);
    end(make, 503, NULL); /* until the file of the one before is gone */
    expect(201, IMPORT, &x);
    assert_ok(model_cache_verify(rig->app->models, "new", &e), e);
    buf_clear(&file);
}

/* ---- keys ---- */

static void of_two_that_revoke_the_last_admins_one_stays(void **state)
{
    UNUSED(state);
    struct rig_call *revoke[2];
    for (int i = 0; i < 2; i++) {
        char line[64];
        struct outcome o = rig_expect(rig, 201, "POST /v1/keys", json("{\"role\":\"admin\"}"));
        snprintf(line, sizeof line, "DELETE /v1/keys/%s", outcome_text(&o, "id"));
        revoke[i] = rig_until_write(rig, line, &admin);
        outcome_clear(&o);
    }
    expect(201, "POST /v1/keys", json("{\"role\":\"read\"}"));
    write_together(revoke[0], revoke[1]);
    end(revoke[0], 204, NULL);
    end(revoke[1], 409, NULL);
}

/* ---- jobs ---- */

static void no_job_begins_with_a_model_that_is_being_deleted(void **state)
{
    UNUSED(state);
    static const struct extra job = {
        .type = "application/json", .body = "{\"training_file\":\"default\",\"model\":\"second\"}", .admin = true};
    rig_fill(rig, 2, 8);
    struct rig_call *drop = rig_until_write(rig, "DELETE /v1/models/second", &admin);
    expect(503, "POST /v1/fine_tuning/jobs", &job);
    end(drop, 200, NULL);
    expect(400, "POST /v1/fine_tuning/jobs", &job);
    rig_add_model(rig, "second", 2);
    expect(200, "POST /v1/fine_tuning/jobs", &job);
    expect(409, "DELETE /v1/models/second", &admin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_that_make_a_collection_one_gets_201_and_one_200),
        cmocka_unit_test(who_made_it_with_other_values_is_told),
        cmocka_unit_test(a_collection_that_comes_and_goes_meanwhile_is_no_conflict),
        cmocka_unit_test(one_that_comes_before_each_write_and_goes_before_each_look_is_no_conflict),
        cmocka_unit_test(no_collection_is_made_of_a_model_that_was_deleted_meanwhile),
        cmocka_unit_test(a_model_that_was_made_anew_meanwhile_is_loaded_anew),
        cmocka_unit_test(an_upload_into_a_collection_that_was_made_anew_meanwhile_ends_in_the_new_one),
        cmocka_unit_test(of_two_that_change_a_model_one_begins_and_the_other_is_told),
        cmocka_unit_test(of_two_that_hold_the_same_etag_one_changes_the_image),
        cmocka_unit_test(of_two_first_uploads_one_makes_the_image),
        cmocka_unit_test(a_file_that_cannot_be_made_fails_its_item_and_not_the_batch),
        cmocka_unit_test(a_batch_that_cannot_go_on_after_a_change_of_the_model_tells_what_is_stored),
        cmocka_unit_test(a_model_that_was_kept_meanwhile_under_the_id_stays_whole),
        cmocka_unit_test(the_same_model_may_come_twice_at_once),
        cmocka_unit_test(a_model_that_is_deleted_and_made_anew_in_one_moment_keeps_its_file),
        cmocka_unit_test(of_two_that_revoke_the_last_admins_one_stays),
        cmocka_unit_test(no_job_begins_with_a_model_that_is_being_deleted),
    };
    return T_RUN_EACH(tests, set_up, rig_tear_down);
}
