/* test_call.c - how calls are driven: what is long asks for a heavy thread, what is refused is answered. */
#include "tests/t.h"

#include "api/requests/route.h"
#include "tests/lib/rig.h"

static int set_up(void **state)
{
    rig_set_up(state);
    rig_put(rig, "a", 1, 1, NULL);
    rig_put(rig, "b", 2, 2, NULL);
    return 0;
}

static const char search[] = "/v1/collections/default/search", json[] = "application/json";

static struct request request_of(enum method m, const char *path, const char *type, const char *body)
{
    return (struct request){.method = m,
                            .path = path,
                            .content_type = type,
                            .body = body,
                            .body_len = body ? strlen(body) : 0,
                            .role = ROLE_ADMIN,
                            .request_id = "test"};
}

/* Whether a stage of the call wants another thread than a light one; runs it to its end. */
static bool is_ever_heavy(const struct request *q)
{
    struct call c;
    bool heavy = false;
    call_begin(&c, rig->app, q);
    while (c.state == CALL_READY) {
        heavy |= c.heavy || c.lengthy;
        call_step(&c);
    }
    call_run(&c, rig->plans);
    assert_int_equal(c.response.status, 200);
    call_free(&c);
    return heavy;
}

static void only_long_work_asks_for_another_thread(void **state)
{
    UNUSED(state);
    struct buf many = {0}, large = {0}, two = {0};
    for (int i = 0; i < 20; i++)
        buf_print(&many, "%s{\"id\":\"a\",\"limit\":1}", i ? "," : "{\"searches\":[");
    buf_text(&many, "]}");
    buf_print(&large, "{\"id\":\"a\",%300000s\"limit\":1}", "");
    buf_text(&two, "{\"searches\":[{\"id\":\"a\"},{\"id\":\"b\"}]}");
    struct buf file = rig_picture(1, 1);
    struct request picture = request_of(METHOD_POST, search, "image/jpeg", NULL);
    picture.body = file.data;
    picture.body_len = file.len;
    struct request thumbnail = request_of(METHOD_GET, "/v1/collections/default/images/a/content", NULL, NULL);
    const struct pair size = {"size", "16"};
    thumbnail.query = &size;
    thumbnail.n_query = 1;
    const struct {
        struct request request;
        bool heavy;
    } cases[] = {
        {request_of(METHOD_POST, search, json, "{\"id\":\"a\"}"), false},
        {request_of(METHOD_POST, search, json, two.data), false},
        {request_of(METHOD_POST, search, json, many.data), true},
        {request_of(METHOD_POST, search, json, large.data), true},
        {request_of(METHOD_GET, "/v1/collections/default/images/a/content", NULL, NULL), false},
        {request_of(METHOD_GET, "/v1/collections/default/images", NULL, NULL), false},
        {picture, false},
        {thumbnail, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (is_ever_heavy(&cases[i].request) != cases[i].heavy)
            fail_msg("case %zu", i);
    buf_clear(&many);
    buf_clear(&large);
    buf_clear(&two);
    buf_clear(&file);
}

static void a_refused_call_is_answered_whatever_it_waits_for(void **state)
{
    UNUSED(state);
    const struct err full = {.code = ERR_BUSY, .text = "a queue is full"};
    struct buf file = rig_picture(1, 1);
    struct request q = request_of(METHOD_PUT, "/v1/collections/default/images/new", "image/jpeg", NULL);
    q.body = file.data;
    q.body_len = file.len;
    static const enum call_state waits[] = {CALL_READY, CALL_IMAGES, CALL_WRITES};
    for (size_t i = 0; i < COUNT(waits); i++) {
        struct call c;
        call_begin(&c, rig->app, &q);
        while (c.state != waits[i]) {
            for (size_t k = 0; c.state == CALL_IMAGES && k < c.n_images; k++)
                call_image(&c.images[k], rig->plans, &rig->app->options.limits);
            call_step(&c);
        }
        call_refuse(&c, &full);
        assert_int_equal(c.state, CALL_DONE);
        assert_int_equal(c.response.status, 503);
        assert_non_null(strstr(c.response.body.data, "a queue is full"));
        call_free(&c);
    }
    struct outcome o = rig_expect(rig, 404, "GET /v1/collections/default/images/new", NULL);
    outcome_clear(&o);
    buf_clear(&file);
}

/* The server asks before it reads a body. */
static void a_route_tells_role_limit_and_label(void **state)
{
    UNUSED(state);
    struct route_match m;
    struct err e = {0};
    assert_ok(route_find(rig->app, LISTENER_PUBLIC, METHOD_PUT, "/v1/collections/x/images/y", &m, &e), e);
    assert_int_equal(m.route->role, ROLE_WRITE);
    assert_int_equal(m.body_max, 32 << 20);
    assert_string_equal(m.route->pattern, "/v1/collections/{collection}/images/{id}");
    assert_ok(route_find(rig->app, LISTENER_PUBLIC, METHOD_HEAD, "/healthz", &m, &e), e);
    assert_int_equal(m.body_max, 0);
    assert_err(route_find(rig->app, LISTENER_PUBLIC, METHOD_GET, "/v1/keys", &m, &e), e, ERR_NOT_FOUND);
    e = (struct err){0};
    assert_ok(route_find(rig->app, LISTENER_ADMIN, METHOD_GET, "/v1/keys", &m, &e), e);
    assert_err(route_find(rig->app, LISTENER_ADMIN, METHOD_PUT, "/v1/keys", &m, &e), e, ERR_BAD_METHOD);
    assert_string_equal(m.allow, "GET, HEAD, POST");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_long_work_asks_for_another_thread),
        cmocka_unit_test(a_refused_call_is_answered_whatever_it_waits_for),
        cmocka_unit_test(a_route_tells_role_limit_and_label),
    };
    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
