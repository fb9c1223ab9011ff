/* test_api_generations.c - another model for a collection over the api: there, back, cancelled, failed. */
#include "tests/t.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "api/services/change_model.h"
#include "base/clock.h"
#include "tests/lib/rig.h"

static int set_up(void **state)
{
    rig_set_up(state);
    rig_add_model(rig, "second", 2);
    rig_add_model(rig, "third", 3);
    for (unsigned i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%u", i);
        rig_put(rig, id, i % 5, i, NULL);
    }
    return 0;
}

/* ---- requests ---- */

static struct outcome admin(int status, const char *line, const char *json)
{
    return rig_expect(rig, status, line,
                      &(struct extra){.admin = true, .type = json ? "application/json" : NULL, .body = json});
}

static void admin_only(int status, const char *line, const char *json)
{
    struct outcome o = admin(status, line, json);
    outcome_clear(&o);
}

#define MODEL    "POST /v1/collections/default/model"
#define ROLLBACK "POST /v1/collections/default/rollback"
#define CANCEL   "DELETE /v1/collections/default/model"

/* The newest generation in that state: a number of its object, -1 when there is none. */
static double newest(const char *state, const char *what)
{
    struct outcome o = admin(200, "GET /v1/collections/default/generations", NULL);
    double found = -1;
    for (size_t i = 0; i < json_count(outcome_at(&o, "data")) && found < 0; i++) {
        char path[64];
        snprintf(path, sizeof path, "data.%zu.state", i);
        bool wanted = strcmp(outcome_text(&o, path), state) == 0;
        snprintf(path, sizeof path, "data.%zu.%s", i, what);
        if (wanted)
            found = outcome_number(&o, path);
    }
    outcome_clear(&o);
    return found;
}

static char *text_of(const char *state, const char *what)
{
    struct outcome o = admin(200, "GET /v1/collections/default/generations", NULL);
    char *found = NULL;
    for (size_t i = 0; i < json_count(outcome_at(&o, "data")) && !found; i++) {
        char path[64];
        snprintf(path, sizeof path, "data.%zu.state", i);
        bool wanted = strcmp(outcome_text(&o, path), state) == 0;
        snprintf(path, sizeof path, "data.%zu.%s", i, what);
        if (wanted)
            found = mem_text(outcome_text(&o, path));
    }
    outcome_clear(&o);
    return found;
}

static void assert_active(const char *model, int generation)
{
    struct outcome o = rig_expect(rig, 200, "GET /v1/collections/default", NULL);
    assert_string_equal(outcome_text(&o, "model"), model);
    assert_int_equal(outcome_number(&o, "generation"), generation);
    assert_string_equal(outcome_text(&o, "status"), "ready");
    outcome_clear(&o);
}

/* A search by the picture that `id` was made of finds it with a score of 1, and names this model. */
static void assert_found(const char *id, unsigned kind, unsigned seed, const char *model)
{
    struct buf file = rig_picture(kind, seed);
    struct outcome o = rig_expect(rig, 200, "POST /v1/collections/default/search?limit=1",
                                  &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
    assert_string_equal(outcome_text(&o, "model"), model);
    assert_string_equal(outcome_text(&o, "data.0.id"), id);
    assert_true(outcome_number(&o, "data.0.score") > 0.9999);
    outcome_clear(&o);
    buf_clear(&file);
}

static void change(const char *line, const char *json)
{
    admin_only(202, line, json);
    rig_settle(rig, "default");
}

/* Holds the re-embedding where it is: requests want every core. */
static void hold_reembed(bool hold)
{
    atomic_store(&rig->app->demand.images, hold ? 1000 : 0);
}

/* ---- tests ---- */

static void there_and_back(void **state)
{
    UNUSED(state);
    struct outcome o = admin(202, MODEL, "{\"model\":\"second\"}");
    assert_string_equal(outcome_text(&o, "state"), "building");
    assert_string_equal(outcome_text(&o, "model"), "second");
    assert_int_equal(outcome_number(&o, "generation"), 2);
    assert_int_equal(outcome_number(&o, "total"), 40);
    outcome_clear(&o);
    rig_settle(rig, "default");
    assert_active("second", 2);
    assert_int_equal(newest("active", "done"), 40);
    assert_int_equal(newest("retired", "generation"), 1);
    assert_found("p3", 3, 3, "second");
    rig_put(rig, "since", 1, 77, "later");
    rig_put(rig, "p3", 2, 78, NULL);
    assert_found("since", 1, 77, "second");
    change(ROLLBACK, NULL);
    assert_active("anchord-base", 1);
    assert_found("since", 1, 77, "anchord-base");
    assert_found("p3", 2, 78, "anchord-base");
    assert_found("p39", 4, 39, "anchord-base");
    rig_reopen(rig);
    assert_active("anchord-base", 1);
    assert_found("since", 1, 77, "anchord-base");
    change(ROLLBACK, "{\"generation\":2}");
    assert_active("second", 2);
    assert_found("p3", 2, 78, "second");
}

static void what_is_asked_wrongly_is_told(void **state)
{
    UNUSED(state);
    struct outcome o = admin(409, MODEL, "{\"model\":\"anchord-base\"}");
    assert_string_equal(outcome_header(&o, "x-should-retry"), "false");
    outcome_clear(&o);
    admin_only(404, MODEL, "{\"model\":\"nobody\"}");
    admin_only(404, "POST /v1/collections/nowhere/model", "{\"model\":\"second\"}");
    admin_only(404, "POST /v1/collections/nowhere/rollback", NULL);
    admin_only(404, "GET /v1/collections/nowhere/generations", NULL);
    admin_only(400, MODEL, "{}");
    admin_only(400, MODEL, "{\"model\":7}");
    admin_only(400, MODEL, "{\"model\":\"../x\"}");
    admin_only(400, MODEL, "{\"model\":\"second\",\"fast\":true}");
    admin_only(400, ROLLBACK, "{\"generation\":0}");
    admin_only(404, ROLLBACK, "{\"generation\":99}");
    admin_only(409, ROLLBACK, NULL);
    admin_only(404, CANCEL, NULL);
    struct outcome hidden = rig_json(rig, MODEL, "{\"model\":\"second\"}");
    assert_int_equal(hidden.status, 404); /* on the public listener there is no such route */
    outcome_clear(&hidden);
    hidden =
        rig_ask(rig, MODEL,
                &(struct extra){
                    .admin = true, .role = ROLE_WRITE, .type = "application/json", .body = "{\"model\":\"second\"}"});
    assert_int_equal(hidden.status, 403);
    outcome_clear(&hidden);
    assert_active("anchord-base", 1);
}

static void one_at_a_time_and_it_can_be_cancelled(void **state)
{
    UNUSED(state);
    hold_reembed(true);
    admin_only(202, MODEL, "{\"model\":\"second\"}");
    struct outcome o = admin(200, MODEL, "{\"model\":\"second\"}"); /* asked twice */
    assert_int_equal(outcome_number(&o, "generation"), 2);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "GET /v1/collections/default", NULL);
    assert_string_equal(outcome_text(&o, "status"), "building");
    outcome_clear(&o);
    admin_only(409, MODEL, "{\"model\":\"third\"}");
    admin_only(409, ROLLBACK, NULL);
    admin_only(409, "DELETE /v1/models/second", NULL);
    admin_only(204, CANCEL, NULL);
    admin_only(404, CANCEL, NULL);
    assert_active("anchord-base", 1);
    assert_int_equal(newest("building", "generation"), -1);
    hold_reembed(false);
    change(MODEL, "{\"model\":\"third\"}");
    assert_active("third", 3);
    admin_only(409, "DELETE /v1/models/third", NULL);
}

/* As if requests wanted every core all the time: it waits before each of 40 images for 20 times what one takes, which
 * is 0.1 ms at the very least; and it gets done. */
static void it_gives_way_and_never_starves(void **state)
{
    UNUSED(state);
    double start = clock_s();
    hold_reembed(true);
    change(MODEL, "{\"model\":\"second\"}");
    hold_reembed(false);
    assert_active("second", 2);
    assert_true(clock_s() - start > 39 * 20 * 0.1e-3);
}

static void a_pin_and_a_model_guard_against_the_other_generation(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200, "POST /v1/collections/default/search",
                                  &(struct extra){.type = "application/json",
                                                  .pin = "1",
                                                  .body = "{\"id\":\"p1\",\"limit\":1,\"with_vector\":true}"});
    struct buf vector = {0}, body = {0};
    json_dump(outcome_at(&o, "data.0.vector"), &vector);
    outcome_clear(&o);
    change(MODEL, "{\"model\":\"second\"}");
    o = rig_expect(rig, 412, "POST /v1/collections/default/search",
                   &(struct extra){.type = "application/json", .pin = "1", .body = "{\"id\":\"p1\"}"});
    outcome_clear(&o);
    o = rig_expect(rig, 200, "POST /v1/collections/default/search",
                   &(struct extra){.type = "application/json", .pin = "2", .body = "{\"id\":\"p1\"}"});
    assert_int_equal(outcome_number(&o, "generation"), 2);
    outcome_clear(&o);
    buf_print(&body, "{\"vector\":%s,\"model\":\"anchord-base\"}", vector.data);
    o = rig_json(rig, "POST /v1/collections/default/search", body.data);
    assert_int_equal(o.status, 409);
    outcome_clear(&o);
    buf_clear(&vector);
    buf_clear(&body);
}

/* ---- damage ---- */

/* Among its weights. */
static void spoil_model(const char *id)
{
    char path[4096];
    struct stat st;
    store_model_path(rig->app->store, id, path, sizeof path);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(pwrite(fd, "xxxxxxxx", 8, st.st_size - 100), 8);
    close(fd);
}

/* The file of a stored image: cut to nothing. */
static void spoil_image(const char *id)
{
    char line[128], path[4200];
    snprintf(line, sizeof line, "GET /v1/collections/default/images/%s", id);
    struct outcome o = rig_expect(rig, 200, line, NULL);
    const char *sha = outcome_text(&o, "sha256");
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", rig->dir, sha, sha);
    assert_int_equal(truncate(path, 10), 0);
    outcome_clear(&o);
}

static void a_model_file_that_was_damaged_before_the_switch(void **state)
{
    UNUSED(state);
    hold_reembed(true);
    admin_only(202, MODEL, "{\"model\":\"second\"}"); /* which has it in memory */
    spoil_model("second");
    hold_reembed(false);
    rig_settle(rig, "default");
    assert_active("anchord-base", 1);
    char *error = text_of("failed", "error");
    assert_non_null(strstr(error, "model second is damaged"));
    free(error);
    assert_found("p3", 3, 3, "anchord-base");
    rig_put(rig, "more", 1, 90, NULL);
    assert_found("more", 1, 90, "anchord-base");
}

static void a_model_file_that_is_gone_after_a_restart(void **state)
{
    UNUSED(state);
    char path[4096];
    struct generation_row row;
    struct err e = {0};
    hold_reembed(true);
    assert_ok(change_model(rig->app, "default", "second", false, &row, &e), e); /* as a job does it */
    assert_int_equal(row.number, 2);
    store_model_path(rig->app->store, "second", path, sizeof path);
    assert_int_equal(unlink(path), 0);
    rig_reopen(rig);
    rig_settle(rig, "default");
    assert_active("anchord-base", 1);
    assert_int_equal(newest("failed", "generation"), 2);
    assert_found("p3", 3, 3, "anchord-base");
}

static void an_image_that_cannot_be_read_fails_it_unless_it_may_be_skipped(void **state)
{
    UNUSED(state);
    spoil_image("p7");
    change(MODEL, "{\"model\":\"second\"}");
    assert_active("anchord-base", 1);
    char *error = text_of("failed", "error");
    assert_non_null(strstr(error, "p7"));
    assert_null(strstr(error, rig->dir));
    free(error);
    change(MODEL, "{\"model\":\"second\",\"skip_unreadable\":true}");
    assert_active("second", 3);
    assert_int_equal(newest("active", "unreadable"), 1);
    assert_int_equal(newest("active", "done"), 40);
    assert_int_equal(newest("failed", "generation"), -1);
    assert_found("p8", 3, 8, "second");
    rig_put(rig, "p7", 2, 7, NULL);
    assert_found("p7", 2, 7, "second");
    assert_int_equal(newest("active", "unreadable"), 0);
}

static void a_roll_back_that_fails_can_be_tried_again(void **state)
{
    UNUSED(state);
    change(MODEL, "{\"model\":\"second\"}");
    rig_put(rig, "since", 1, 50, NULL);
    spoil_image("since");
    change(ROLLBACK, NULL);
    assert_active("second", 2);
    char *error = text_of("retired", "error");
    assert_non_null(strstr(error, "since"));
    free(error);
    rig_put(rig, "since", 1, 51, NULL);
    change(ROLLBACK, NULL);
    assert_active("anchord-base", 1);
    assert_found("since", 1, 51, "anchord-base");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_is_asked_wrongly_is_told),
        cmocka_unit_test(one_at_a_time_and_it_can_be_cancelled),
        cmocka_unit_test(it_gives_way_and_never_starves),
        cmocka_unit_test(a_pin_and_a_model_guard_against_the_other_generation),
        cmocka_unit_test(a_model_file_that_was_damaged_before_the_switch),
        cmocka_unit_test(a_model_file_that_is_gone_after_a_restart),
        cmocka_unit_test(an_image_that_cannot_be_read_fails_it_unless_it_may_be_skipped),
        cmocka_unit_test(a_roll_back_that_fails_can_be_tried_again),
    };
    return T_RUN_EACH(tests, set_up, rig_tear_down);
}
