/* test_import.c - `anchord import`: straight into a data folder, and through the server that has it. */
#include "tests/t.h"

#include "base/hash.h"
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
    char *out = command(exit_code, "import", "--json", "--data", p->data, "--model", small_model(), "--precision",
                        "fp32", p->pictures, flag, value, NULL);
    const char *line = strstr(out, "{\"added\"");
    struct counts got = {0};
    if (!line ||
        sscanf(line, "{\"added\":%d,\"replaced\":%d,\"labelled\":%d,\"unchanged\":%d,\"refused\":%d,\"passed_over\":%d",
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
    assert_true(client_ask(&c,
                           &(struct ask){.method = method,
                                         .target = target,
                                         .body = body,
                                         .type = body ? "application/json" : NULL,
                                         .len = body ? strlen(body) : 0},
                           &r));
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
    write_picture(p.pictures, "no ending", 4); /* a picture by its content */
    write_file(p.pictures, "cat/brok\ren\xc3\xa4.jpg", "\xff\xd8\xff\xe0", 4);
    write_file(p.pictures, "cat/empty.png", "", 0); /* a picture by its name */
    write_file(p.pictures, "notes.txt", "hello", 5);
    char *out = command(1, "import", "--data", p.data, "--model", small_model(), p.pictures, NULL);
    assert_contains(out, "refused: cat/brok%0Den\xc3\xa4.jpg: ");
    assert_contains(out, "refused: cat/empty.png: ");
    assert_contains(out, "4 added");
    assert_contains(out, "skipped: notes.txt: no picture");
    assert_contains(out, "2 refused, 1 skipped (1 no picture)");
    free(out);

    struct server s = serve(&p, NULL);
    check_image(&s, "cat%2F1.jpg", "cat", "{\"path\":\"cat/1.jpg\"}");
    check_image(&s, "cat%2Fold%2F1.jpg", "cat", "{\"path\":\"cat/old/1.jpg\"}");
    check_image(&s, "top.jpeg", "", "{\"path\":\"top.jpeg\"}");
    check_image(&s, "no%20ending", "", "{\"path\":\"no ending\"}");
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
    json_free(ask(&s, "PATCH", "/v1/collections/default/images/cat%2F1.jpg",
                  "{\"label\":\"tom\",\"metadata\":{\"price\":7}}", 200));
    json_free(
        ask(&s, "PATCH", "/v1/collections/default/images/dog%2F3.jpg", "{\"label\":null,\"metadata\":null}", 200));
    if (!through_server)
        assert_int_equal(server_stop(&s), 0);

    write_picture(p->pictures, "cat/1.jpg", 11); /* other content under the same name */
    write_picture(p->pictures, "cat/4.jpg", 4);
    import_counts(p, 0, NULL, NULL, &(struct counts){.added = 1, .replaced = 1, .labelled = 1, .unchanged = 1});
    import_counts(p, 0, NULL, NULL, &(struct counts){.unchanged = 4});

    if (!through_server)
        s = serve(p, NULL);
    check_image(&s, "cat%2F1.jpg", "tom",
                "{\"path\":\"cat/1.jpg\",\"price\":7}"); /* replaced, and what the user wrote kept */
    check_image(&s, "dog%2F3.jpg", "dog", "{\"path\":\"dog/3.jpg\"}");
    assert_int_equal(server_stop(&s), 0);
}

static void a_file_over_the_limit_is_named_and_the_rest_goes_on(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    write_picture(p.pictures, "small.jpg", 1);
    write_large_picture(p.pictures, "large.jpg", 2);
    char *out =
        command(1, "import", "--data", p.data, "--model", small_model(), "--max-body-bytes", "20000", p.pictures, NULL);
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

static void a_key_may_come_by_the_environment(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    char variable[200], *out = NULL;
    write_picture(p.pictures, "cat/1.jpg", 1);
    char *key = command(0, "key", "add", "--role", "admin", "--data", p.data, NULL);
    snprintf(variable, sizeof variable, "ANCHORD_KEY=%s", strstr(key, "anch_"));
    variable[strcspn(variable, "\n")] = 0;
    struct server s = serve(&p, NULL);
    const char *const args[] = {"import", "--data", p.data, p.pictures, NULL}, *const env[] = {variable, NULL};
    assert_int_equal(program_run(args, env, &out), 0);
    assert_contains(out, "1 added");
    assert_int_equal(server_stop(&s), 0);
    free(out);
    free(key);
    t_remove_dir(p.dir);
}

static void what_is_passed_over_is_named_with_its_kind(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    write_picture(p.pictures, "1.jpg", 1);
    write_file(p.pictures, "IMG_1.HEIC",
               "\0\0\0\x18"
               "ftypheic",
               12);
    write_file(p.pictures, "trip/IMG_2.jpg",
               "\0\0\0\x18"
               "ftypheic",
               12);
    write_file(p.pictures, "party.gif", "GIF89a", 6);
    write_file(p.pictures, "1.AAE", "<?xml", 5);
    char target[500];
    snprintf(target, sizeof target, "%s/gone.jpg", p.pictures);
    assert_int_equal(symlink("nowhere", target), 0);
    char *out = command(0, "import", "--data", p.data, "--model", small_model(), p.pictures, NULL);
    static const char *const lines[] = {"skipped: IMG_1.HEIC: HEIC",
                                        "skipped: trip/IMG_2.jpg: HEIC",
                                        "skipped: party.gif: GIF",
                                        "skipped: 1.AAE: no picture",
                                        "skipped: gone.jpg: link to nothing",
                                        "5 skipped (",
                                        "2 HEIC",
                                        "1 GIF"};
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_contains(out, lines[i]);
    free(out);
    out = command(0, "import", "--quiet", "--data", p.data, "--model", small_model(), p.pictures, NULL);
    assert_null(strstr(out, "skipped: "));
    assert_contains(out, "2 HEIC");
    free(out);
    t_remove_dir(p.dir);
}

/* The same folder again, after other files have appeared in it. */
static void neighbours_change_neither_ids_nor_notes(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    write_picture(p.pictures, "trip/IMG_0.JPG", 1);
    write_picture(p.pictures, "\xe7\x8c\xab/\xe4\xb8\x89\xe6\xaf\x9b.jpg", 2);
    write_picture(p.pictures, "b/cat.jpg", 3);
    import_counts(&p, 0, NULL, NULL, &(struct counts){.added = 3});
    struct server s = serve(&p, NULL);
    json_free(ask(&s, "PATCH", "/v1/collections/default/images/%E7%8C%AB%2F%E4%B8%89%E6%AF%9B.jpg",
                  "{\"metadata\":{\"note\":\"hers\"}}", 200));
    assert_int_equal(server_stop(&s), 0);
    write_file(p.pictures, "trip/IMG_0.AAE", "<?xml", 5);
    write_file(p.pictures, "trip/IMG_0.CR2", "II*\0\x10\0\0\0CR\x02\0", 12);
    write_picture(p.pictures, "trip/IMG_0.jpg", 4);
    write_picture(p.pictures, "\xe7\x8c\xab/\xe4\xb8\x80\xe6\xaf\x9b.jpg", 5);
    write_picture(p.pictures, "b/cat.jpeg", 6);
    import_counts(&p, 0, NULL, NULL, &(struct counts){.added = 3, .unchanged = 3, .passed_over = 2});
    s = serve(&p, NULL);
    check_image(&s, "%E7%8C%AB%2F%E4%B8%89%E6%AF%9B.jpg", "\xe7\x8c\xab",
                "{\"path\":\"\xe7\x8c\xab/\xe4\xb8\x89\xe6\xaf\x9b.jpg\",\"note\":\"hers\"}");
    check_image(&s, "%E7%8C%AB%2F%E4%B8%80%E6%AF%9B.jpg", "\xe7\x8c\xab",
                "{\"path\":\"\xe7\x8c\xab/\xe4\xb8\x80\xe6\xaf\x9b.jpg\"}");
    check_image(&s, "b%2Fcat.jpg", "b", "{\"path\":\"b/cat.jpg\"}");
    assert_int_equal(server_stop(&s), 0);
    t_remove_dir(p.dir);
}

/* Puts a picture as write_picture() makes it. */
static void put_picture(const struct server *s, const struct place *p, const char *file, const char *target, int status)
{
    struct client c = client_to(s->port);
    struct reply r = {0};
    char path[600], *bytes = NULL;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/%s", p->pictures, file);
    FILE *f = fopen(path, "r"), *to = open_memstream(&bytes, &len);
    for (int ch; (ch = getc(f)) != EOF;)
        putc(ch, to);
    fclose(f);
    fclose(to);
    assert_true(client_ask(
        &c, &(struct ask){.method = "PUT", .target = target, .type = "image/jpeg", .body = bytes, .len = len}, &r));
    assert_int_equal(r.status, status);
    free(bytes);
    reply_clear(&r);
    client_close(&c);
}

#define PUT_OLD(file, rest) put_picture(&s, &p, file, "/v1/collections/default/images/" rest, 201)

static void an_id_of_another_picture_is_never_taken(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    write_picture(p.pictures, "1.jpg", 1);
    write_picture(p.pictures, "2.jpg", 2);
    write_picture(p.pictures, "3.jpg", 3);
    struct server s = serve(&p, NULL);
    PUT_OLD("2.jpg", "1.jpg");            /* another content, by hand */
    PUT_OLD("2.jpg", "2.jpg?label=mine"); /* the same content: it becomes the file's */
    PUT_OLD("1.jpg",
            "3.jpg?metadata=%7B%22path%22%3A%22/home/me/x.jpg%22%7D"); /* a path of the user's own says nothing */
    char *out = command(1, "import", "--data", p.data, p.pictures, NULL);
    assert_contains(out, "refused: 1.jpg: an image has this id that was not imported from this path");
    assert_contains(out, "refused: 3.jpg: an image has this id");
    assert_contains(out, "0 added, 0 replaced, 0 labelled, 1 unchanged, 2 refused");
    free(out);
    check_image(&s, "1.jpg", "", "");
    check_image(&s, "2.jpg", "mine", "{\"path\":\"2.jpg\"}");
    check_image(&s, "3.jpg", "", "{\"path\":\"/home/me/x.jpg\"}");
    assert_int_equal(server_stop(&s), 0);
    t_remove_dir(p.dir);
}

/* A collection as version 0.1.0 filled it: ids of its own, no paths. */
static void folders_of_the_first_version_keep_their_ids(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    char marked[HASH_HEX], target[300];
    write_picture(p.pictures, "cat/1.jpg", 1);
    write_picture(p.pictures, "cat/1.jpeg", 1); /* the same content under both */
    write_picture(p.pictures, "cat.1.png", 2);
    write_picture(p.pictures, "cafe\xcc\x81/my photo.jpg", 3);
    write_picture(p.pictures, "cat/changed.jpg", 4);
    struct server s = serve(&p, NULL);
    PUT_OLD("cat.1.png", "cat.1"); /* the first by its path */
    static const char *const twins[] = {"cat/1.jpg", "cat/1.jpeg"};
    for (size_t i = 0; i < 2; i++) {
        hash_text(twins[i], strlen(twins[i]), marked);
        snprintf(target, sizeof target,
                 "/v1/collections/default/images/cat.1-%.8s?label=cat&metadata=%%7B%%22n%%22%%3A%zu%%7D", marked, i);
        put_picture(&s, &p, twins[i], target, 201);
    }
    PUT_OLD("cafe\xcc\x81/my photo.jpg", "cafe__.my_photo?label=cafe%CC%81");
    PUT_OLD("cat/1.jpg", "cat.changed?label=cat"); /* changed since: there is no telling */
    char *out = command(0, "import", "--data", p.data, p.pictures, NULL);
    assert_contains(out, "1 added, 0 replaced, 1 labelled, 3 unchanged, 0 refused");
    assert_contains(out, "4 were imported by version 0.1.0");
    free(out);
    check_image(&s, "cat.1", "", "{\"path\":\"cat.1.png\"}");
    check_image(&s, "cafe__.my_photo", "caf\xc3\xa9", "{\"path\":\"cafe\xcc\x81/my photo.jpg\"}");
    for (size_t i = 0; i < 2; i++) {
        char id[40], metadata[80];
        hash_text(twins[i], strlen(twins[i]), marked);
        snprintf(id, sizeof id, "cat.1-%.8s", marked);
        snprintf(metadata, sizeof metadata, "{\"n\":%zu,\"path\":\"%s\"}", i, twins[i]);
        check_image(&s, id, "cat", metadata);
    }
    check_image(&s, "cat.changed", "cat", "");
    check_image(&s, "cat%2Fchanged.jpg", "cat", "{\"path\":\"cat/changed.jpg\"}");
    import_counts(&p, 0, NULL, NULL, &(struct counts){.unchanged = 5});
    write_picture(p.pictures, "cat.1.png", 5); /* from now on the path tells, whatever the content */
    import_counts(&p, 0, NULL, NULL, &(struct counts){.unchanged = 4, .replaced = 1});
    check_image(&s, "cat.1", "", "{\"path\":\"cat.1.png\"}");
    struct json *doc = ask(&s, "GET", "/v1/collections/default", NULL, 200);
    int64_t images = 0;
    assert_true(json_as_int(json_member(doc, "images"), &images));
    assert_int_equal(images, 6);
    json_free(doc);
    assert_int_equal(server_stop(&s), 0);
    t_remove_dir(p.dir);
}

static void a_collection_that_is_not_there_ends_the_import_before_it_begins(void **state)
{
    UNUSED(state);
    struct place p = place_make();
    write_picture(p.pictures, "cat/1.jpg", 1);
    char *out =
        command(1, "import", "--data", p.data, "--model", small_model(), "--collection", "birds", p.pictures, NULL);
    assert_contains(out, "there is no collection birds");
    assert_contains(out, "PUT /v1/collections/birds");
    free(out);
    struct server s = serve(&p, NULL);
    json_free(ask(&s, "PUT", "/v1/collections/birds", "{}", 201));
    import_counts(&p, 0, "--collection", "birds", &(struct counts){.added = 1});
    json_free(ask(&s, "GET", "/v1/collections/birds/images/cat%2F1.jpg", NULL, 200));
    json_free(ask(&s, "GET", "/v1/collections/default/images/cat%2F1.jpg", NULL, 404));
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
        cmocka_unit_test(a_key_may_come_by_the_environment),
        cmocka_unit_test(what_is_passed_over_is_named_with_its_kind),
        cmocka_unit_test(neighbours_change_neither_ids_nor_notes),
        cmocka_unit_test(an_id_of_another_picture_is_never_taken),
        cmocka_unit_test(folders_of_the_first_version_keep_their_ids),
        cmocka_unit_test(a_collection_that_is_not_there_ends_the_import_before_it_begins),
        cmocka_unit_test(a_folder_with_an_old_serve_file_is_used_directly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
