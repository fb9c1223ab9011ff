/* test_import.c - `anchord import`: straight into a data folder, and through the server that has it. */
#include "tests/t.h"

#include "base/json.h"
#include "tests/lib/client.h"
#include "tests/lib/command.h"
#include "tests/lib/process.h"

/* Each test has a folder with pictures and a data folder. */
struct place {
    char *dir;
    char pictures[400], data[400];
};

static struct place place_make(void)
{
    struct place p = {.dir = t_make_dir()};
    snprintf(p.pictures, sizeof p.pictures, "%s/pictures", p.dir);
    snprintf(p.data, sizeof p.data, "%s/data", p.dir);
    return p;
}

struct counts {
    int added, replaced, labelled, unchanged, refused, passed_over;
};

/* Runs the import and compares what it counted. */
static void import_counts(const struct place *p, int exit_code, const char *flag, const char *value,
                          const struct counts *want)
{
    char *out = command(exit_code, "import", "--json", "--data", p->data, "--model", small_model(), "--precision", "fp32",
                        p->pictures, flag, value, NULL);
    const char *line = strstr(out, "{\"added\"");
    struct counts got = {0};
    if (!line || sscanf(line, "{\"added\":%d,\"replaced\":%d,\"labelled\":%d,\"unchanged\":%d,\"refused\":%d,\"passed_over\":%d",
                        &got.added, &got.replaced, &got.labelled, &got.unchanged, &got.refused, &got.passed_over) != 6)
        fail_msg("no counts in %s", out);
    if (memcmp(&got, want, sizeof got) != 0)
        fail_msg("got %s", line);
    free(out);
}

static struct server serve(const struct place *p, const char *const *env)
{
    struct server s;
    struct err e = {0};
    assert_ok(server_start(&s, &(struct server_options){.dir = p->data, .env = env}, &e), e);
    return s;
}

/* The answer to a request as JSON; the caller frees. */
static struct json *ask(const struct server *s, const char *method, const char *target, const char *body, int status)
{
    struct client c = client_to(s->port);
    struct reply r = {0};
    struct err e = {0};
    assert_true(client_ask(&c, &(struct ask){.method = method, .target = target, .body = body,
                                             .type = body ? "application/json" : NULL, .len = body ? strlen(body) : 0}, &r));
    if (r.status != status)
        fail_msg("%s %s: %d %s", method, target, r.status, r.body.data ? r.body.data : "");
    struct json *doc = json_parse(r.body.data, r.body.len, 0, &e);
    assert_ok(doc, e);
    reply_clear(&r);
    client_close(&c);
    return doc;
}

static void check_image(const struct server *s, const char *id, const char *label, const char *metadata)
{
    char target[300];
    struct buf text = {0};
    snprintf(target, sizeof target, "/v1/collections/default/images/%s", id);
    struct json *doc = ask(s, "GET", target, NULL, 200);
    const char *got = json_as_text(json_member(doc, "label"), NULL);
    assert_string_equal(got ? got : "", label);
    if (json_member(doc, "metadata"))
        json_dump(json_member(doc, "metadata"), &text);
    assert_string_equal(text.data ? text.data : "", metadata);
    buf_clear(&text);
    json_free(doc);
}

static void pictures_get_ids_and_labels_and_the_damaged_are_named(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    write_picture(p.pictures, "cat/1.jpg", 1);
    write_picture(p.pictures, "cat/old/1.jpg", 2);
    write_picture(p.pictures, "top.jpeg", 3);
    write_picture(p.pictures, "no ending", 4);                       /* a picture by its content */
    write_file(p.pictures, "cat/brok\ren\xc3\xa4.jpg", "\xff\xd8\xff\xe0", 4);
    write_file(p.pictures, "cat/empty.png", "", 0);                  /* a picture by its name */
    write_file(p.pictures, "notes.txt", "hello", 5);
    char *out = command(1, "import", "--data", p.data, "--model", small_model(), p.pictures, NULL);
    assert_contains(out, "refused: cat/brok?en\xc3\xa4.jpg: ");
    assert_contains(out, "refused: cat/empty.png: ");
    assert_contains(out, "4 added");
    assert_contains(out, "2 refused, 1 not pictures");
    free(out);

    struct server s = serve(&p, NULL);
    check_image(&s, "cat.1", "cat", "");
    check_image(&s, "cat.old.1", "cat", "");
    check_image(&s, "top", "", "");
    check_image(&s, "no_ending", "", "");
    assert_int_equal(server_stop(&s), 0);
    t_remove_dir(p.dir);
}

/* What a second import finds changed; the same whether it goes to the folder or through the server. */
static void check_changes(struct place *p, bool through_server)
{
    write_picture(p->pictures, "cat/1.jpg", 1);
    write_picture(p->pictures, "cat/2.jpg", 2);
    write_picture(p->pictures, "dog/3.jpg", 3);
    import_counts(p, 0, NULL, NULL, &(struct counts){.added = 3});
    struct server s = serve(p, NULL);
    json_free(ask(&s, "PATCH", "/v1/collections/default/images/cat.1", "{\"metadata\":{\"price\":7}}", 200));
    json_free(ask(&s, "PATCH", "/v1/collections/default/images/dog.3", "{\"label\":\"wolf\"}", 200));
    if (!through_server)
        assert_int_equal(server_stop(&s), 0);

    write_picture(p->pictures, "cat/1.jpg", 11); /* other content under the same name */
    write_picture(p->pictures, "cat/4.jpg", 4);
    import_counts(p, 0, NULL, NULL, &(struct counts){.added = 1, .replaced = 1, .labelled = 1, .unchanged = 1});
    import_counts(p, 0, NULL, NULL, &(struct counts){.unchanged = 4});

    if (!through_server)
        s = serve(p, NULL);
    check_image(&s, "cat.1", "cat", "{\"price\":7}"); /* replaced, and its metadata kept */
    check_image(&s, "dog.3", "dog", "");
    assert_int_equal(server_stop(&s), 0);
}

static void a_file_over_the_limit_is_named_and_the_rest_goes_on(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    write_picture(p.pictures, "small.jpg", 1);
    write_large_picture(p.pictures, "large.jpg", 2);
    char *out = command(1, "import", "--data", p.data, "--model", small_model(), "--max-body-bytes", "20000", p.pictures, NULL);
    assert_contains(out, "refused: large.jpg: ");
    assert_contains(out, "the limit is 20000");
    assert_contains(out, "1 added");
    free(out);
    t_remove_dir(p.dir);
}

static void only_what_changed_is_sent_to_the_folder(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    check_changes(&p, false);
    t_remove_dir(p.dir);
}

static void only_what_changed_is_sent_through_the_server(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    check_changes(&p, true);
    t_remove_dir(p.dir);
}

static void a_server_with_keys_wants_one_that_may_write(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    char file[500], url[64];
    write_picture(p.pictures, "cat/1.jpg", 1);
    command_only(0, "key", "add", "--role", "admin", "--data", p.data, NULL);
    char *read_key = command(0, "key", "add", "--role", "read", "--data", p.data, NULL);
    char *write_key = command(0, "key", "add", "--role", "write", "--data", p.data, NULL);
    struct server s = serve(&p, NULL);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", s.port);
    snprintf(file, sizeof file, "%s/key", p.dir);

    char *out = command(1, "import", "--data", p.data, p.pictures, NULL);
    assert_contains(out, "--key-file");
    free(out);
    write_file(p.dir, "key", strstr(read_key, "anch_"), strlen(strstr(read_key, "anch_")));
    out = command(1, "import", "--url", url, "--key-file", file, p.pictures, NULL);
    assert_contains(out, "--key-file");
    free(out);
    write_file(p.dir, "key", strstr(write_key, "anch_"), strlen(strstr(write_key, "anch_")));
    import_counts(&p, 0, "--key-file", file, &(struct counts){.added = 1});
    command_only(1, "import", "--key-file", "/nonexistent", "--data", p.data, p.pictures, NULL);
    assert_int_equal(server_stop(&s), 0);
    free(read_key);
    free(write_key);
    t_remove_dir(p.dir);
}

static void a_collection_that_is_not_there_ends_the_import_before_it_begins(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    write_picture(p.pictures, "cat/1.jpg", 1);
    char *out = command(1, "import", "--data", p.data, "--model", small_model(), "--collection", "birds", p.pictures, NULL);
    assert_contains(out, "there is no collection birds");
    assert_contains(out, "PUT /v1/collections/birds");
    free(out);
    struct server s = serve(&p, NULL);
    json_free(ask(&s, "PUT", "/v1/collections/birds", "{}", 201));
    import_counts(&p, 0, "--collection", "birds", &(struct counts){.added = 1});
    json_free(ask(&s, "GET", "/v1/collections/birds/images/cat.1", NULL, 200));
    json_free(ask(&s, "GET", "/v1/collections/default/images/cat.1", NULL, 404));
    assert_int_equal(server_stop(&s), 0);
    t_remove_dir(p.dir);
}

static void a_folder_with_an_old_serve_file_is_used_directly(void **state)
{
    UNUSED(state);
    static const char stale[] = "{\"pid\":1,\"public\":\"http://127.0.0.1:1\",\"admin\":\"http://127.0.0.1:1\"}";
    struct place p = place_make();
    write_picture(p.pictures, "1.jpg", 1);
    write_file(p.data, "serve.json", stale, sizeof stale - 1);
    import_counts(&p, 0, NULL, NULL, &(struct counts){.added = 1});
    t_remove_dir(p.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_get_ids_and_labels_and_the_damaged_are_named),
        cmocka_unit_test(a_file_over_the_limit_is_named_and_the_rest_goes_on),
        cmocka_unit_test(only_what_changed_is_sent_to_the_folder),
        cmocka_unit_test(only_what_changed_is_sent_through_the_server),
        cmocka_unit_test(a_server_with_keys_wants_one_that_may_write),
        cmocka_unit_test(a_collection_that_is_not_there_ends_the_import_before_it_begins),
        cmocka_unit_test(a_folder_with_an_old_serve_file_is_used_directly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
