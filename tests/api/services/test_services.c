/* test_services.c - what anchord does, asked for without a request: keys, models, a change of model, jobs. */
#include "tests/t.h"

#include "api/jobs/job_check.h"
#include "api/services/change_model.h"
#include "api/services/keys.h"
#include "api/services/models.h"
#include "api/services/reembed.h"
#include "tests/lib/rig.h"

static bool submit(struct write *w, struct err *e)
{
    bool ok = store_write(rig->app->store, w, e);
    write_clear(w);
    return ok;
}

static void a_key_is_made_and_revoked(void **state)
{
    UNUSED(state);
    struct write w = {0}, revoke = {0};
    struct err e = {0};
    char text[KEY_TEXT_SIZE];
    key_add_draft(&w, "ops", ROLE_ADMIN, false, text);
    char *id = strdup(w.key.row.id);
    assert_true(strncmp(text, "anch_", 5) == 0 && strstr(text, id) == text + 5);
    assert_ok(submit(&w, &e), e);
    key_revoke_draft(&revoke, id, false);
    assert_ok(submit(&revoke, &e), e);
    key_revoke_draft(&revoke, id, false);
    assert_err(submit(&revoke, &e), e, ERR_NOT_FOUND);
    free(id);
}

static void a_role_allows_what_needs_no_more(void **state)
{
    UNUSED(state);
    struct err e = {0};
    assert_true(role_allows(ROLE_WRITE, ROLE_WRITE, &e) && role_allows(ROLE_NONE, ROLE_NONE, &e));
    assert_err(role_allows(ROLE_READ, ROLE_WRITE, &e), e, ERR_FORBIDDEN);
    assert_err(role_allows(ROLE_NONE, ROLE_READ, &e), e, ERR_UNAUTHENTICATED);
}

static void a_model_is_kept_and_deleted_but_not_the_default(void **state)
{
    UNUSED(state);
    struct write w = {0};
    struct model_row row;
    struct err e = {0};
    rig_add_model(rig, "spare", 3);
    assert_err(model_delete_draft(rig->app, rig->app->default_model, &w, &e), e, ERR_CONFLICT);
    e = (struct err){0};
    assert_ok(model_delete_draft(rig->app, "spare", &w, &e) && submit(&w, &e), e);
    assert_err(store_model(rig->app->store, "spare", &row, &e), e, ERR_NOT_FOUND);
}

static const char *model_of(const char *collection)
{
    static struct collection_row row;
    struct err e = {0};
    rig_settle(rig, collection);
    assert_ok(store_collection(rig->app->store, collection, &row, &e), e);
    return row.model;
}

static void a_collection_changes_its_model_and_goes_back(void **state)
{
    UNUSED(state);
    struct write back = {0}, cancel = {0};
    struct generation_row begun;
    struct err e = {0};
    rig_put(rig, "a", 1, 1, NULL);
    rig_add_model(rig, "second", 2);
    assert_ok(change_model(rig->app, "default", "second", false, &begun, &e), e);
    assert_string_equal(model_of("default"), "second");
    change_back_draft(&back, "default", 0, false);
    assert_ok(submit(&back, &e), e);
    reembed_nudge(rig->app->reembed);
    assert_string_equal(model_of("default"), rig->app->default_model);
    change_cancel_draft(&cancel, "default");
    assert_err(submit(&cancel, &e), e, ERR_NOT_FOUND); /* nothing is under way */
}

static void a_job_to_be_is_checked(void **state)
{
    UNUSED(state);
    struct job draft = {.collection = "nowhere"};
    struct err e = {0};
    assert_err(job_check_collections(rig->app->store, &draft, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "training_file");
    snprintf(draft.collection, sizeof draft.collection, "default");
    e = (struct err){0};
    assert_ok(job_check_collections(rig->app->store, &draft, &e) && job_check_model(rig->app->store, &draft, &e), e);
    assert_string_equal(draft.model, rig->app->default_model);
}

static void demand_counts_images_up_to_a_limit(void **state)
{
    UNUSED(state);
    struct demand d = {0};
    assert_true(demand_add_images(&d, 3, 4) && !demand_add_images(&d, 2, 4));
    assert_true(demand_exceeds(&d, 2, 0) && !demand_exceeds(&d, 3, 0));
    atomic_store(&d.p99_us, 50);
    assert_true(demand_exceeds(&d, 3, 49) && !demand_exceeds(&d, 3, 50));
    demand_image_done(&d, false);
    assert_false(demand_is_met(&d, 1000000000));
    demand_image_done(&d, true);
    assert_true(demand_is_met(&d, INT64_C(60) * 1000000000));
    demand_image_done(&d, true);
    assert_false(demand_is_met(&d, INT64_C(60) * 1000000000)); /* nobody waits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_made_and_revoked),
        cmocka_unit_test(a_role_allows_what_needs_no_more),
        cmocka_unit_test(a_model_is_kept_and_deleted_but_not_the_default),
        cmocka_unit_test(a_collection_changes_its_model_and_goes_back),
        cmocka_unit_test(a_job_to_be_is_checked),
        cmocka_unit_test(demand_counts_images_up_to_a_limit),
    };
    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
