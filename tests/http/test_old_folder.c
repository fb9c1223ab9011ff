/* test_old_folder.c - a data folder as version 0.1.0 wrote it (tests/data/folder-0.1.0): it starts, answers as it did
 * there, goes back to a generation of then, and its backup restores.
 *
 * An answer may have more members by now.  What it had it still has: equal texts, numbers within a rounding.
 */
#include "tests/t.h"

#include <sqlite3.h>

#include "base/file.h"
#include "base/hash.h"
#include "tests/lib/command.h"
#include "tests/lib/expect.h"

#define GOLDEN "tests/data/folder-0.1.0"
#define GARDEN "/v1/collections/garden"

struct old {
    char *scratch, dir[300];
    struct json *golden;
    struct server s;
    struct client c; /* to the admin listener */
    const char *key; /* of golden */
};

static void unpack(struct old *o)
{
    char line[700];
    void *text;
    size_t len;
    struct err e = {0};
    *o = (struct old){.scratch = t_make_dir()};
    snprintf(line, sizeof line, "tar -xzf %s/folder.tar.gz -C '%s'", GOLDEN, o->scratch);
    assert_int_equal(system(line), 0);
    snprintf(o->dir, sizeof o->dir, "%s/folder", o->scratch);
    assert_ok(file_read(GOLDEN "/answers.json", 1 << 20, &text, &len, &e), e);
    json_init();
    o->golden = json_parse(text, len, 1 << 24, &e);
    assert_non_null(o->golden);
    o->key = text_at(o->golden, "key");
    free(text);
}

static void serve(struct old *o)
{
    static const char *const args[] = {"--precision", "fp32", "--seal-at", "64", "--min-free-bytes", "0", NULL};
    expect_start(&o->s, &(struct server_options){.dir = o->dir, .model = "", .args = args});
    o->c = client_to(o->s.admin);
}

static void stop(struct old *o)
{
    client_close(&o->c);
    expect_stop(&o->s);
}

static void throw_away(struct old *o)
{
    json_free(o->golden);
    t_remove_dir(o->scratch);
}

/* ---- comparing ---- */

static void same(const char *where, const struct json *want, const struct json *got);

/* A hit may change places with one of the same score. */
static void same_hits(const char *where, const struct json *want, const struct json *got)
{
    for (size_t i = 0; i < json_count(want); i++) {
        double score = real_at(json_item(want, i), "score");
        const struct json *hit = NULL;
        assert_true(fabs(real_at(json_item(got, i), "score") - score) < 1e-5);
        for (size_t j = 0; j < json_count(got) && !hit; j++)
            if (strcmp(text_at(json_item(got, j), "id"), text_at(json_item(want, i), "id")) == 0)
                hit = json_item(got, j);
        if (hit)
            same(where, json_item(want, i), hit);
        else if (fabs(score - real_at(json_item(want, json_count(want) - 1), "score")) > 1e-5)
            fail_msg("%s: %s is not found any more", where, text_at(json_item(want, i), "id"));
    }
}

static void same_list(const char *where, const struct json *want, const struct json *got)
{
    char place[200];
    if (json_count(want) != json_count(got))
        fail_msg("%s: %zu items, then %zu", where, json_count(got), json_count(want));
    if (json_count(want) && json_member(json_item(want, 0), "score")) {
        same_hits(where, want, got);
        return;
    }
    for (size_t i = 0; i < json_count(want); i++) {
        snprintf(place, sizeof place, "%.180s.%zu", where, i);
        same(place, json_item(want, i), json_item(got, i));
    }
}

static void same_object(const char *where, const struct json *want, const struct json *got)
{
    char place[200];
    const char *key;
    const struct json *value;
    for (void *it = NULL; (it = json_next(want, it, &key, &value));) {
        snprintf(place, sizeof place, "%.120s.%.60s", where, key);
        if (json_kind(value) != JSON_KIND_NULL)
            same(place, value, json_member(got, key));
        else if (json_member(got, key))
            fail_msg("%s was null", place);
    }
}

static void same(const char *where, const struct json *want, const struct json *got)
{
    struct buf a = {0}, b = {0};
    double x, y;
    if (json_kind(want) == JSON_KIND_OBJECT && json_kind(got) == JSON_KIND_OBJECT) {
        same_object(where, want, got);
        return;
    }
    if (json_kind(want) == JSON_KIND_LIST && json_kind(got) == JSON_KIND_LIST) {
        same_list(where, want, got);
        return;
    }
    if (json_as_number(want, &x) && json_as_number(got, &y) && fabs(x - y) <= 1e-5 * fmax(1, fabs(x)))
        return;
    json_dump(want, &a);
    if (got)
        json_dump(got, &b);
    buf_char(&a, 0);
    buf_char(&b, 0);
    if (strcmp(a.data, b.data) != 0)
        fail_msg("%s: %s, then %s", where, b.data, a.data);
    buf_clear(&a);
    buf_clear(&b);
}

static struct json *ask(struct old *o, int status, const char *key, const char *line, const struct json *body)
{
    char method[8], target[400];
    struct buf text = {0};
    assert_int_equal(sscanf(line, "%7s %399s", method, target), 2);
    if (body)
        json_dump(body, &text);
    struct json *reply = expect_json(&o->c, status,
                                     &(struct ask){.method = method,
                                                   .target = target,
                                                   .key = key,
                                                   .type = body ? "application/json" : NULL,
                                                   .body = text.data,
                                                   .len = text.len});
    buf_clear(&text);
    return reply;
}

/* Those that do not begin with `but` (NULL: all); gives how many. */
static size_t answers_are_as_then(struct old *o, const char *list, const char *but, const char *but_too)
{
    size_t compared = 0;
    for (size_t i = 0; i < count_at(o->golden, list); i++) {
        const struct json *one = json_item(value_at(o->golden, list), i);
        const char *line = text_at(one, "ask");
        if ((but && strncmp(line, but, strlen(but)) == 0) || (but_too && strncmp(line, but_too, strlen(but_too)) == 0))
            continue;
        struct json *got = ask(o, 200, o->key, line, json_member(one, "body"));
        same(line, value_at(one, "reply"), got);
        json_free(got);
        compared++;
    }
    return compared;
}

/* ---- the tests ---- */

static void it_starts_and_answers_as_it_did(void **state)
{
    UNUSED(state);
    struct old o;
    unpack(&o);
    serve(&o);
    assert_int_equal(answers_are_as_then(&o, "answers", NULL, NULL), count_at(o.golden, "answers"));
    json_free(ask(&o, 200, text_at(o.golden, "reader"), "GET " GARDEN, NULL));
    json_free(ask(&o, 403, text_at(o.golden, "reader"), "DELETE " GARDEN, NULL));
    json_free(ask(&o, 401, NULL, "GET " GARDEN, NULL));
    stop(&o);
    serve(&o); /* and once more, after whatever the first start has changed */
    answers_are_as_then(&o, "answers", NULL, NULL);
    stop(&o);
    throw_away(&o);
}

static void each_picture_has_the_bytes_that_its_hash_says_and_is_found_by_them(void **state)
{
    UNUSED(state);
    struct old o;
    struct reply r = {0};
    char target[300], hash[HASH_HEX];
    unpack(&o);
    serve(&o);
    struct json *list = ask(&o, 200, o.key, "GET " GARDEN "/images?limit=1000", NULL);
    assert_int_equal(count_at(list, "data"), 95);
    for (size_t i = 0; i < count_at(list, "data"); i++) {
        const struct json *image = json_item(value_at(list, "data"), i);
        snprintf(target, sizeof target, GARDEN "/images/%s/content", text_at(image, "id"));
        client_ask(&o.c, &(struct ask){.method = "GET", .target = target, .key = o.key}, &r);
        assert_int_equal(r.status, 200);
        hash_text(r.body.data, r.body.len, hash);
        assert_string_equal(hash, text_at(image, "sha256"));
    }
    struct json *found = expect_json(&o.c, 200,
                                     &(struct ask){.method = "POST",
                                                   .target = GARDEN "/search?limit=1",
                                                   .key = o.key,
                                                   .body = r.body.data,
                                                   .len = r.body.len});
    assert_true(real_at(found, "data.0.score") > 0.9999); /* this program's encoder makes the vectors of then */
    json_free(found);
    json_free(list);
    reply_clear(&r);
    stop(&o);
    throw_away(&o);
}

static void it_goes_back_to_the_generation_that_was_retired(void **state)
{
    UNUSED(state);
    struct old o;
    struct err e = {0};
    int64_t active = 0;
    unpack(&o);
    serve(&o);
    struct json *none = json_parse("{}", 2, 0, &e);
    json_free(ask(&o, 202, o.key, "POST " GARDEN "/rollback", none));
    json_free(none);
    for (double until = clock_s() + t_patience(20); active != 2 && clock_s() < until;) {
        struct json *garden = ask(&o, 200, o.key, "GET " GARDEN, NULL);
        active = int_at(garden, "generation");
        json_free(garden);
        usleep(10000);
    }
    assert_int_equal(active, 2);
    answers_are_as_then(&o, "after_rollback", NULL, NULL);
    stop(&o);
    throw_away(&o);
}

static void its_backup_restores_and_answers_as_it_did(void **state)
{
    UNUSED(state);
    struct old o;
    char backup[500];
    unpack(&o);
    size_t at = 0;
    while (strcmp(text_at(json_item(value_at(o.golden, "answers"), at), "ask"), "GET /v1/backups") != 0)
        at++;
    snprintf(backup, sizeof backup, "%s/backups/%s", o.dir,
             text_at(json_item(value_at(o.golden, "answers"), at), "reply.data.0.name"));
    snprintf(o.dir, sizeof o.dir, "%s/restored", o.scratch);
    command_only(0, "restore", "--data", o.dir, backup, NULL);
    serve(&o);
    assert_true(answers_are_as_then(&o, "answers", "GET /v1/backups", "GET /v1/fine_tuning") >= 10);
    stop(&o);
    throw_away(&o);
}

/* What 0.1.0 stores for these metadata, seen in its catalogue. */
static const struct {
    const char *id, *metadata, *number;
} old_numbers[] = {
    {"f1", "{\"h\":1e19}", "1e19"},
    {"f2", "{\"h\":9.2233720368547758e18}", "9223372036854775808.0"},
    {"f3", "{\"h\":1.0000000000000001e300}", "1e300"},
    {"f4", "{\"h\":9223372036854775807}", "9223372036854775807"},
};

static void write_old_numbers(const struct old *o)
{
    char path[400], line[600];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/anchord.db", o->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t i = 0; i < COUNT(old_numbers); i++) {
        snprintf(line, sizeof line,
                 "UPDATE image SET metadata = '%s' WHERE id = '%s';"
                 "INSERT INTO attribute (image, collection, key, number) SELECT number, collection, 'h', %s FROM image "
                 "WHERE id = '%s'",
                 old_numbers[i].metadata, old_numbers[i].id, old_numbers[i].number, old_numbers[i].id);
        assert_int_equal(sqlite3_exec(db, line, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_changes(db), 1);
    }
    sqlite3_close(db);
}

static void numbers_are_counted(struct old *o)
{
    static const struct {
        const char *condition;
        int64_t want;
    } cases[] = {
        {"\"match\":{\"value\":1e19}", 1},
        {"\"match\":{\"value\":9223372036854775808}", 1},
        {"\"match\":{\"value\":1e300}", 1},
        {"\"range\":{\"gte\":9e18}", 4},
        {"\"range\":{\"gt\":9223372036854775808}", 2},
        {"\"range\":{\"lt\":1e19}", 2},
    };
    struct err e = {0};
    char text[300];
    for (size_t i = 0; i < COUNT(cases); i++) {
        int n = snprintf(text, sizeof text, "{\"filter\":{\"must\":[{\"key\":\"h\",%s}]}}", cases[i].condition);
        struct json *filter = json_parse(text, (size_t)n, 0, &e);
        struct json *counted = ask(o, 200, o->key, "POST /v1/collections/default/images/count", filter);
        if (int_at(counted, "count") != cases[i].want)
            fail_msg("%s: %lld, not %lld", text, (long long)int_at(counted, "count"), (long long)cases[i].want);
        json_free(counted);
        json_free(filter);
    }
}

static void numbers_from_two_to_the_63_on_are_found_as_in_a_new_folder(void **state)
{
    UNUSED(state);
    struct old o;
    struct err e = {0};
    char line[200], text[200];
    unpack(&o);
    write_old_numbers(&o);
    serve(&o);
    numbers_are_counted(&o);
    for (size_t i = 0; i < COUNT(old_numbers); i++) { /* written anew, they are found as they were before */
        snprintf(line, sizeof line, "PATCH /v1/collections/default/images/%s", old_numbers[i].id);
        int n = snprintf(text, sizeof text, "{\"metadata\":%s}", old_numbers[i].metadata);
        struct json *body = json_parse(text, (size_t)n, 0, &e);
        json_free(ask(&o, 200, o.key, line, body));
        json_free(body);
    }
    numbers_are_counted(&o);
    stop(&o);
    throw_away(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_and_answers_as_it_did),
        cmocka_unit_test(each_picture_has_the_bytes_that_its_hash_says_and_is_found_by_them),
        cmocka_unit_test(it_goes_back_to_the_generation_that_was_retired),
        cmocka_unit_test(its_backup_restores_and_answers_as_it_did),
        cmocka_unit_test(numbers_from_two_to_the_63_on_are_found_as_in_a_new_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
