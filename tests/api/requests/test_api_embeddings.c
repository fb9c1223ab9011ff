/* test_api_embeddings.c - pictures to vectors: three kinds of body, two encodings, errors by item. */
#include "tests/t.h"

#include "base/base64.h"
#include "tests/lib/rig.h"

static struct buf file, text; /* the same picture as a file and as base64 */

static int set_up(void **state)
{
    rig_set_up(state);
    file = rig_picture(1, 7);
    text = rig_base64(1, 7);
    return 0;
}

static int tear_down(void **state)
{
    buf_clear(&file);
    buf_clear(&text);
    return rig_tear_down(state);
}

static void read_vector(const struct json *v, float *out, size_t n)
{
    assert_int_equal(json_count(v), n);
    for (size_t i = 0; i < n; i++) {
        double x;
        assert_true(json_as_number(json_item(v, i), &x));
        out[i] = (float)x;
    }
}

/* The vector that a raw body gives. */
static void raw_vector(float *out)
{
    struct outcome o = rig_expect(rig, 200, "POST /v1/embeddings",
                                  &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
    read_vector(outcome_at(&o, "data.0.embedding"), out, RIG_DIMENSIONS);
    outcome_clear(&o);
}

static double norm(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static void a_raw_picture_gives_one_unit_vector_in_openais_shape(void **state)
{
    UNUSED(state);
    float v[RIG_DIMENSIONS];
    struct outcome o = rig_expect(rig, 200, "POST /v1/embeddings",
                                  &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
    assert_string_equal(outcome_text(&o, "object"), "list");
    assert_string_equal(outcome_text(&o, "model"), "anchord-base");
    assert_string_equal(outcome_text(&o, "data.0.object"), "embedding");
    assert_true(outcome_number(&o, "data.0.index") == 0);
    assert_true(outcome_number(&o, "usage.total_tokens") == 0);
    read_vector(outcome_at(&o, "data.0.embedding"), v, RIG_DIMENSIONS);
    assert_true(fabs(norm(v, RIG_DIMENSIONS) - 1) < 1e-5);
    outcome_clear(&o);
}

/* Every way of writing the same picture in JSON. */
static void all_forms_of_a_picture_mean_the_same(void **state)
{
    UNUSED(state);
    float want[RIG_DIMENSIONS], got[RIG_DIMENSIONS];
    struct buf folded = {0};
    raw_vector(want);
    for (size_t i = 0; i < text.len; i += 60) { /* as some clients fold lines, or replace their ends by blanks */
        buf_print(&folded, "%.60s", text.data + i);
        buf_text(&folded, i % 120 ? "\\r\\n" : " ");
    }
    const char *const forms[] = {"\"%s\"", "[\"%s\"]", "{\"image\":\"%s\"}",
                                 "[{\"image\":\"data:image/jpeg;base64,%s\"}]",
                                 "\"data:image/png;charset=x;base64,%s\""};
    for (size_t i = 0; i < 2 * COUNT(forms); i++) {
        const char *form = forms[i / 2], *at = strstr(form, "%s");
        struct buf body = {0};
        buf_text(&body, "{\"input\":");
        buf_add(&body, form, (size_t)(at - form));
        buf_text(&body, i % 2 ? folded.data : text.data);
        buf_print(&body, "%s}", at + 2);
        struct outcome o = rig_json(rig, "POST /v1/embeddings", body.data);
        if (o.status != 200)
            fail_msg("%s: %s", form, o.body.data);
        read_vector(outcome_at(&o, "data.0.embedding"), got, RIG_DIMENSIONS);
        assert_close(form, got, want, RIG_DIMENSIONS, 0);
        outcome_clear(&o);
        buf_clear(&body);
    }
    buf_clear(&folded);
}

static void base64_vectors_are_little_endian_float32(void **state)
{
    UNUSED(state);
    float want[RIG_DIMENSIONS];
    struct buf body = {0};
    struct err e = {0};
    void *bytes;
    size_t len;
    raw_vector(want);
    buf_print(&body, "{\"input\":\"%s\",\"encoding_format\":\"base64\",\"model\":\"anchord-base\",\"user\":\"u\"}",
              text.data);
    struct outcome o = rig_json(rig, "POST /v1/embeddings", body.data);
    const char *coded = outcome_text(&o, "data.0.embedding");
    assert_non_null(coded);
    assert_ok(base64_decode(coded, strlen(coded), &bytes, &len, &e), e);
    assert_int_equal(len, sizeof want);
    assert_memory_equal(bytes, want, len);
    free(bytes);
    outcome_clear(&o);
    buf_clear(&body);
}

static void fewer_dimensions_are_the_first_ones_at_unit_length(void **state)
{
    UNUSED(state);
    float all[RIG_DIMENSIONS], few[16];
    raw_vector(all);
    struct outcome o =
        rig_expect(rig, 200, "POST /v1/embeddings?dimensions=16", &(struct extra){.body = file.data, .len = file.len});
    read_vector(outcome_at(&o, "data.0.embedding"), few, 16);
    double length = norm(all, 16);
    for (size_t i = 0; i < 16; i++)
        all[i] = (float)((double)all[i] / length);
    assert_close("truncated", few, all, 16, 1e-6);
    outcome_clear(&o);
}

static struct buf form_of(const char *const *files, const size_t *lens, size_t n, const char *fields)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) {
        buf_print(&b, "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%zu.jpg\"\r\n\r\n", i);
        buf_add(&b, files[i], lens[i]);
        buf_text(&b, "\r\n");
    }
    buf_print(&b, "%s--xyz--\r\n", fields);
    return b;
}

static void a_form_embeds_each_file(void **state)
{
    UNUSED(state);
    float want[RIG_DIMENSIONS], got[RIG_DIMENSIONS];
    struct buf other = rig_picture(5, 5);
    const char *const files[] = {other.data, file.data};
    const size_t lens[] = {other.len, file.len};
    struct buf form =
        form_of(files, lens, 2, "--xyz\r\nContent-Disposition: form-data; name=\"encoding_format\"\r\n\r\nfloat\r\n");
    raw_vector(want);
    struct outcome o =
        rig_expect(rig, 200, "POST /v1/embeddings",
                   &(struct extra){.type = "multipart/form-data; boundary=xyz", .body = form.data, .len = form.len});
    assert_int_equal(json_count(outcome_at(&o, "data")), 2);
    assert_true(outcome_number(&o, "data.1.index") == 1);
    read_vector(outcome_at(&o, "data.1.embedding"), got, RIG_DIMENSIONS);
    assert_close("second file", got, want, RIG_DIMENSIONS, 0);
    outcome_clear(&o);
    buf_clear(&form);
    buf_clear(&other);
}

static void a_bad_picture_fails_the_request_by_name_or_only_its_item(void **state)
{
    UNUSED(state);
    struct buf body = {0};
    buf_print(&body, "{\"input\":[\"%s\",\"%s\",\"/9j/AAAA\",\"%%%%\"]", text.data, text.data);
    size_t open = body.len;
    buf_char(&body, '}');
    struct outcome o = rig_json(rig, "POST /v1/embeddings", body.data);
    assert_int_equal(o.status, 422);
    assert_string_equal(outcome_text(&o, "error.param"), "input[2]");
    assert_string_equal(outcome_text(&o, "error.code"), "undecodable_image");
    outcome_clear(&o);
    body.len = open;
    buf_text(&body, ",\"on_error\":\"item\"}");
    o = rig_json(rig, "POST /v1/embeddings", body.data);
    assert_int_equal(o.status, 200);
    assert_int_equal(json_count(outcome_at(&o, "data.1.embedding")), RIG_DIMENSIONS);
    assert_string_equal(outcome_text(&o, "data.2.error.param"), "input[2]");
    assert_string_equal(outcome_text(&o, "data.3.error.code"), "invalid_request");
    assert_null(outcome_at(&o, "data.2.embedding"));
    outcome_clear(&o);
    buf_clear(&body);
}

static const struct {
    const char *line, *json;
    int status;
    const char *param;
} refused[] = {
    {"POST /v1/embeddings", "{}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":[]}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":null}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":5}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":\"\"}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":[[1,2,3]]}", 400, "input[0]"},
    {"POST /v1/embeddings", "{\"input\":{\"text\":\"a cat\"}}", 400, "input.text"},
    {"POST /v1/embeddings", "{\"input\":\"https://example.org/cat.jpg\"}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":\"data:text/plain;base64,aGk=\"}", 422, "input"},
    {"POST /v1/embeddings", "{\"input\":\"data:image/png,abc\"}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":\"data:image/png\"}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":\"aGVsbG8=\"}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":\"aGVsbG8\"}", 400, "input"},
    {"POST /v1/embeddings", "{\"input\":\"aGk=\",\"model\":\"none\"}", 404, "model"},
    {"POST /v1/embeddings", "{\"input\":\"aGk=\",\"model\":\"../x\"}", 400, "model"},
    {"POST /v1/embeddings", "{\"input\":\"aGk=\",\"encoding_format\":\"int8\"}", 400, "encoding_format"},
    {"POST /v1/embeddings", "{\"input\":\"aGk=\",\"dimensions\":0}", 400, "dimensions"},
    {"POST /v1/embeddings", "{\"input\":\"aGk=\",\"dimensions\":65}", 400, "dimensions"},
    {"POST /v1/embeddings", "{\"input\":\"aGk=\",\"dimensions\":1.5}", 400, "dimensions"},
    {"POST /v1/embeddings", "{\"input\":\"aGk=\",\"modality\":\"image\"}", 400, "modality"},
    {"POST /v1/embeddings?size=3", "{\"input\":\"aGk=\"}", 400, "size"},
    {"POST /v1/embeddings?on_error=maybe", "{\"input\":\"aGk=\"}", 400, "on_error"},
    {"POST /v1/embeddings",
     "{\"input\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"
     "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}",
     413, NULL},
};

static void what_is_no_picture_is_refused_with_its_field(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct outcome o = rig_json(rig, refused[i].line, refused[i].json);
        const char *param = outcome_text(&o, "error.param");
        if (o.status != refused[i].status)
            fail_msg("%s gave %d: %s", refused[i].json, o.status, o.body.data);
        if (refused[i].param ? !param || strcmp(param, refused[i].param) != 0 : param != NULL)
            fail_msg("%s named %s", refused[i].json, param ? param : "nothing");
        outcome_clear(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_picture_gives_one_unit_vector_in_openais_shape),
        cmocka_unit_test(all_forms_of_a_picture_mean_the_same),
        cmocka_unit_test(base64_vectors_are_little_endian_float32),
        cmocka_unit_test(fewer_dimensions_are_the_first_ones_at_unit_length),
        cmocka_unit_test(a_form_embeds_each_file),
        cmocka_unit_test(a_bad_picture_fails_the_request_by_name_or_only_its_item),
        cmocka_unit_test(what_is_no_picture_is_refused_with_its_field),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
