/* test_forms.c - forms as browsers, curl and libraries send them: names of parts, file names, labels, metadata. */
#include "tests/t.h"

#include "tests/lib/rig.h"

static struct buf picture;

static int set_up(void **state)
{
    rig_set_up(state);
    picture = rig_picture(1, 1);
    return 0;
}

static int tear_down(void **state)
{
    buf_clear(&picture);
    return rig_tear_down(state);
}

#define IMAGES "/v1/collections/default/images"

/* `filename`: the parameter as it is sent, such as "; filename=\"a.jpg\"". */
static void add_picture(struct buf *form, const char *name, const char *filename)
{
    buf_print(form, "--xyz\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n", name, filename);
    buf_add(form, picture.data, picture.len);
    buf_text(form, "\r\n");
}

static void add_field(struct buf *form, const char *name, const char *value)
{
    buf_print(form, "--xyz\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", name, value);
}

/* Empties the form. */
static struct outcome send(struct buf *form, int status, const char *line)
{
    buf_text(form, "--xyz--\r\n");
    struct outcome o =
        rig_expect(rig, status, line,
                   &(struct extra){.type = "multipart/form-data; boundary=xyz", .body = form->data, .len = form->len});
    buf_clear(form);
    return o;
}

static const char *text_of(const struct outcome *o, size_t item, const char *member)
{
    char path[64];
    snprintf(path, sizeof path, "data.%zu.%s", item, member);
    return outcome_text(o, path);
}

static void check_item(const struct outcome *o, size_t i, const char *id, const char *label, const char *metadata)
{
    struct buf got = {0};
    char path[32];
    assert_string_equal(text_of(o, i, "id"), id);
    if (label)
        assert_string_equal(text_of(o, i, "label"), label);
    else
        assert_null(text_of(o, i, "label"));
    snprintf(path, sizeof path, "data.%zu.metadata", i);
    if (outcome_at(o, path))
        json_dump(outcome_at(o, path), &got);
    assert_string_equal(got.data ? got.data : "null", metadata);
    buf_clear(&got);
}

static void pictures_may_be_called_what_forms_call_them(void **state)
{
    UNUSED(state);
    static const char *const names[] = {"file", "files", "image", "images", "file[]", "files[]", "image[]", "images[]"};
    struct buf form = {0};
    for (size_t i = 0; i < COUNT(names); i++)
        add_picture(&form, names[i], "");
    struct outcome o = send(&form, 200, "POST " IMAGES);
    assert_int_equal(json_count(outcome_at(&o, "data")), COUNT(names));
    assert_null(strstr(o.body.data, "\"error\""));
    outcome_clear(&o);
    add_picture(&form, "images[]", "");
    o = send(&form, 200, "POST /v1/embeddings");
    outcome_clear(&o);
    static const char *const wrong[] = {"picture", "file[0]", "[]", "File", "files[][]"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        add_picture(&form, wrong[i], "");
        o = send(&form, 400, "POST " IMAGES);
        assert_string_equal(outcome_text(&o, "error.param"), wrong[i]);
        assert_non_null(strstr(outcome_text(&o, "error.message"), "parts are called file, id, label, metadata"));
        outcome_clear(&o);
    }
}

static void file_names_are_ids_however_they_are_written(void **state)
{
    UNUSED(state);
    static const struct {
        const char *sent, *id;
    } cases[] = {
        {"; filename=\"my photo.jpg\"", "my photo.jpg"},
        {"; filename=\"IMG (1).jpg\"", "IMG (1).jpg"},
        {"; filename=\"gr\xc3\xb6\xc3\x9f"
         "e.jpg\"",
         "gr\xc3\xb6\xc3\x9f"
         "e.jpg"},
        {"; filename=\"Screenshot 2024-01-02 at 3.04.05\xe2\x80\xafPM.png\"",
         "Screenshot 2024-01-02 at 3.04.05\xe2\x80\xafPM.png"},
        {"; filename=\"holiday/2024/cat.1.jpg\"", "holiday/2024/cat.1.jpg"},
        {"; filename=\"a%22b.jpg\"", "a\"b.jpg"},
        {"; filename=\"a\\\"c.jpg\"", "a\"c.jpg"},
        {"; filename=\"100%25.jpg\"", "100%25.jpg"},
        {"; filename=plain.jpg", "plain.jpg"},
        {"; filename*=UTF-8''na%C3%AFve%20%22x%22.jpg", "na\xc3\xafve \"x\".jpg"},
        {"; filename=\"?.jpg\"; filename*=utf-8'de'%E7%8C%AB.jpg", "\xe7\x8c\xab.jpg"},
    };
    struct buf form = {0};
    for (size_t i = 0; i < COUNT(cases); i++)
        add_picture(&form, "file", cases[i].sent);
    struct outcome o = send(&form, 200, "POST " IMAGES);
    for (size_t i = 0; i < COUNT(cases); i++)
        check_item(&o, i, cases[i].id, NULL, "null");
    assert_null(strstr(o.body.data, "\"error\""));
    outcome_clear(&o);
    static const char *const wrong[] = {"; filename*=latin1''a.jpg", "; filename*=UTF-8''%zz", "; filename*=a.jpg",
                                        "; filename*=UTF-8''a; filename*=UTF-8''b", "; filename*=UTF-8''%00"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        add_picture(&form, "file", wrong[i]);
        o = send(&form, 400, "POST " IMAGES);
        outcome_clear(&o);
    }
}

static void labels_and_metadata_come_once_for_all_or_once_for_each(void **state)
{
    UNUSED(state);
    struct buf form = {0};
    add_field(&form, "label", "all");
    add_picture(&form, "file", "; filename=\"l.1\"");
    add_picture(&form, "file", "; filename=\"l.2\"");
    add_field(&form, "metadata", "{\"n\":1}"); /* behind the pictures is as good */
    struct outcome o = send(&form, 200, "POST " IMAGES);
    check_item(&o, 0, "l.1", "all", "{\"n\":1}");
    check_item(&o, 1, "l.2", "all", "{\"n\":1}");
    outcome_clear(&o);

    add_picture(&form, "file", "; filename=\"x\"");
    add_field(&form, "label", "first");
    add_field(&form, "id", "own/id 1");
    add_picture(&form, "file", "; filename=\"l.3\"");
    add_field(&form, "label", "");
    add_field(&form, "id", "");
    add_field(&form, "metadata", "");
    add_field(&form, "metadata", "{\"n\":2}");
    o = send(&form, 200, "POST " IMAGES);
    check_item(&o, 0, "own/id 1", "first", "null");
    check_item(&o, 1, "l.3", NULL, "{\"n\":2}");
    outcome_clear(&o);
}

static void fields_that_fit_no_picture_are_refused(void **state)
{
    UNUSED(state);
    static const struct {
        const char *field, *values[3];
    } cases[] = {{"id", {"one for two"}}, {"label", {"a", "b", "c"}}, {"metadata", {"{}", "{}", "{}"}}};
    struct buf form = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        add_picture(&form, "file", "");
        add_picture(&form, "file", "");
        for (size_t k = 0; k < 3 && cases[i].values[k]; k++)
            add_field(&form, cases[i].field, cases[i].values[k]);
        struct outcome o = send(&form, 400, "POST " IMAGES);
        assert_string_equal(outcome_text(&o, "error.param"), cases[i].field);
        assert_non_null(strstr(outcome_text(&o, "error.message"), "once for each"));
        outcome_clear(&o);
    }
    add_picture(&form, "file", "; filename=\"f.1\"");
    add_picture(&form, "file", "; filename=\"f.2\"");
    add_field(&form, "metadata", "{}");
    add_field(&form, "metadata", "[]");
    struct outcome o = send(&form, 200, "POST " IMAGES);
    assert_null(outcome_text(&o, "data.0.error.param"));
    assert_string_equal(outcome_text(&o, "data.1.error.param"), "metadata[1]"); /* fails alone */
    outcome_clear(&o);
    add_picture(&form, "file", "");
    add_field(&form, "label", "\xff");
    o = send(&form, 200, "POST " IMAGES);
    assert_string_equal(outcome_text(&o, "data.0.error.param"), "label");
    outcome_clear(&o);
}

static void one_picture_may_be_put_by_form(void **state)
{
    UNUSED(state);
    struct buf form = {0};
    add_field(&form, "label", "cat");
    add_picture(&form, "image", "; filename=\"of no matter.jpg\"");
    add_field(&form, "metadata", "{\"k\":\"v\"}");
    struct outcome o = send(&form, 201, "PUT " IMAGES "/by%20form");
    assert_string_equal(outcome_text(&o, "id"), "by form");
    assert_string_equal(outcome_text(&o, "label"), "cat");
    assert_string_equal(outcome_text(&o, "metadata.k"), "v");
    outcome_clear(&o);
    static const struct {
        const char *line, *field, *param;
        int pictures;
    } wrong[] = {{"PUT " IMAGES "/a", "label", "file", 2},
                 {"PUT " IMAGES "/a", "id", "id", 1},
                 {"PUT " IMAGES "/a?label=x", "label", "label", 1},
                 {"PUT " IMAGES "/a", "label", "file", 0}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        for (int k = 0; k < wrong[i].pictures; k++)
            add_picture(&form, "file", "");
        add_field(&form, wrong[i].field, "v");
        o = send(&form, 400, wrong[i].line);
        assert_string_equal(outcome_text(&o, "error.param"), wrong[i].param);
        outcome_clear(&o);
    }
    buf_text(&form, "--xyz\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nno picture\r\n");
    o = send(&form, 422, "PUT " IMAGES "/a");
    assert_string_equal(outcome_text(&o, "error.param"), "file");
    outcome_clear(&o);
    o = rig_expect(rig, 404, "GET " IMAGES "/a", NULL);
    outcome_clear(&o);
}

static void a_query_picture_may_come_as_a_form(void **state)
{
    UNUSED(state);
    struct buf form = {0};
    add_picture(&form, "file", "; filename=\"s.1\"");
    struct outcome o = send(&form, 200, "POST " IMAGES);
    outcome_clear(&o);
    add_picture(&form, "file", "; filename=\"q.jpg\"");
    add_field(&form, "limit", "1");
    o = send(&form, 200, "POST /v1/collections/default/search");
    assert_int_equal(json_count(outcome_at(&o, "data")), 1);
    assert_true(outcome_number(&o, "data.0.score") > 0.999);
    outcome_clear(&o);
    add_picture(&form, "file", "");
    add_field(&form, "limt", "1");
    o = send(&form, 400, "POST /v1/collections/default/search");
    assert_string_equal(outcome_text(&o, "error.param"), "limt");
    assert_non_null(strstr(outcome_text(&o, "error.message"), "limit, offset"));
    outcome_clear(&o);
    add_picture(&form, "file", "");
    add_picture(&form, "file", "");
    o = send(&form, 400, "POST /v1/collections/default/search");
    assert_string_equal(outcome_text(&o, "error.param"), "file");
    outcome_clear(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_may_be_called_what_forms_call_them),
        cmocka_unit_test(file_names_are_ids_however_they_are_written),
        cmocka_unit_test(labels_and_metadata_come_once_for_all_or_once_for_each),
        cmocka_unit_test(fields_that_fit_no_picture_are_refused),
        cmocka_unit_test(one_picture_may_be_put_by_form),
        cmocka_unit_test(a_query_picture_may_come_as_a_form),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
