/* test_api_upload.c - an upload under whose feet the collection changes its generation. */
#include "tests/t.h"

#include "tests/lib/rig.h"

/* The collection again, empty, under a new generation. */
static void renew(void)
{
    struct outcome o = rig_ask(rig, "DELETE /v1/collections/moving", NULL);
    outcome_clear(&o);
    o = rig_expect(rig, 201, "PUT /v1/collections/moving", NULL);
    outcome_clear(&o);
}

static void run_to_writes(struct call *c)
{
    while (c->state != CALL_WRITES && c->state != CALL_DONE) {
        for (size_t i = 0; c->state == CALL_IMAGES && i < c->n_images; i++)
            call_image(&c->images[i], rig->plans, &rig->app->options.limits);
        call_step(c);
    }
    assert_int_equal(c->state, CALL_WRITES);
}

/* Submits the writes and steps, as call_run() does, until they come again. */
static void write_once(struct call *c)
{
    struct err e = {0};
    for (size_t i = 0; i < c->n_writes; i++)
        (void)!store_write(rig->app->store, c->writes[i], &e);
    call_step(c);
}

static void it_is_embedded_again(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(1, 1);
    struct request q = {.method = METHOD_PUT,
                        .path = "/v1/collections/moving/images/a",
                        .body = file.data,
                        .body_len = file.len,
                        .role = ROLE_WRITE,
                        .request_id = "test"};
    struct call c;
    renew();
    call_begin(&c, rig->app, &q);
    run_to_writes(&c);
    renew();
    call_run(&c, rig->plans);
    assert_int_equal(c.response.status, 201);
    call_free(&c);
    struct outcome o =
        rig_expect(rig, 200, "POST /v1/collections/moving/search", &(struct extra){.body = file.data, .len = file.len});
    assert_string_equal(outcome_text(&o, "data.0.id"), "a");
    outcome_clear(&o);
    buf_clear(&file);
}

static void after_too_many_changes_the_client_is_told_to_come_back(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(1, 1);
    struct request q = {.method = METHOD_PUT,
                        .path = "/v1/collections/moving/images/a",
                        .body = file.data,
                        .body_len = file.len,
                        .role = ROLE_WRITE,
                        .request_id = "test"};
    struct call c;
    renew();
    call_begin(&c, rig->app, &q);
    run_to_writes(&c);
    for (int i = 0; i < 5; i++) {
        renew();
        write_once(&c);
        run_to_writes(&c);
    }
    renew();
    call_run(&c, rig->plans);
    assert_int_equal(c.response.status, 503);
    call_free(&c);
    struct outcome o = rig_expect(rig, 404, "GET /v1/collections/moving/images/a", NULL);
    outcome_clear(&o);
    buf_clear(&file);
}

/* Of a batch only what was not written goes round again. */
static void a_batch_goes_on_in_the_new_generation(void **state)
{
    UNUSED(state);
    struct buf text = rig_base64(2, 2), body = {0};
    buf_print(&body,
              "{\"images\":[{\"id\":\"a\",\"image\":\"%s\"},{\"id\":\"b\",\"image\":\"%s\"},{\"id\":\"c\","
              "\"image\":\"aGk=\"}]}",
              text.data, text.data);
    struct request q = {.method = METHOD_POST,
                        .path = "/v1/collections/moving/images",
                        .content_type = "application/json",
                        .body = body.data,
                        .body_len = body.len,
                        .role = ROLE_WRITE,
                        .request_id = "test"};
    struct call c;
    renew();
    call_begin(&c, rig->app, &q);
    run_to_writes(&c);
    renew();
    call_run(&c, rig->plans);
    assert_int_equal(c.response.status, 200);
    assert_non_null(strstr(c.response.body.data, "\"id\":\"a\""));
    assert_int_equal(c.n_writes, 2);
    call_free(&c);
    struct outcome o = rig_expect(rig, 200, "POST /v1/collections/moving/images/count", NULL);
    assert_true(outcome_number(&o, "count") == 2);
    outcome_clear(&o);
    buf_clear(&text);
    buf_clear(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_embedded_again),
        cmocka_unit_test(after_too_many_changes_the_client_is_told_to_come_back),
        cmocka_unit_test(a_batch_goes_on_in_the_new_generation),
    };
    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
