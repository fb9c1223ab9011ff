/* test_bodies.c - JSON that is malformed, too much, or says what cannot be; what is refused, and what it costs. */
#include "tests/t.h"

#include "base/base64.h"
#include "base/json_writer.h"
#include "tests/lib/expect.h"
#include "tests/lib/probe.h"
#include "tests/lib/results_table.h"

#define SEARCH    "/v1/collections/default/search"
#define COUNT_URL "/v1/collections/default/images/count"

static struct server server;
static struct buf photo;

static int start(void **state)
{
    UNUSED(state);
    expect_start(&server, &(struct server_options){0});
    draw_jpeg(5, 64, &photo);
    struct client c = client_to(server.port);
    expect_put_image(&c, 201, "/v1/collections/default/images/there", photo.data, photo.len);
    client_close(&c);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    buf_clear(&photo);
    expect_stop(&server);
    return 0;
}

static void probe_json(const char *what, const char *pattern, const char *code, const char *target, const char *json,
                       size_t len)
{
    probe_ask(
        &server, what, pattern, code,
        &(struct ask){
            .method = "POST", .target = target, .body = json, .len = len, .type = "application/json", .timeout = 10});
}

/* ---- syntax: what RFC 8259 does not allow ---- */

static void text_that_is_no_json_is_refused(void **state)
{
    UNUSED(state);
    static const char *const bad[] = {
        " ",
        "{",
        "}",
        "[",
        "{]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":1e999}",
        "{\"a\":tru}",
        "{\"a\":True}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":\"\\u",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{}{}",
        "// no\n{}",
        "{}/* no */",
        "\xef\xbb\xbf{}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\xaf\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "\xff\xfe{\x00}",
        "{\"a\":1,\"a\":2}",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[\"a\":1]",
        "null",
        "true",
        "7",
        "\"text\"",
        "[]",
        "{\"a\":99999999999999999999999}",
        "{\"ids\":[\"a\\u0000b\"]}",
    };
    int before = results_bad();
    result_section("JSON: not well formed (POST .../images/count)");
    for (size_t i = 0; i < COUNT(bad); i++) {
        char what[80] = "", *p = what;
        for (const char *q = bad[i]; *q && p < what + 60; q++)
            p += sprintf(p, *q >= 32 && *q < 127 ? "%c" : "<%02x>", (unsigned char)*q);
        probe_json(what, "400", "invalid_request", COUNT_URL, bad[i], strlen(bad[i]));
    }
    probe_json("nothing (POST .../search)", "400", "invalid_request", SEARCH, "", 0);
    probe_json("{} and a NUL", "400", "invalid_request", COUNT_URL, "{}\0", 3);
    assert_int_equal(results_bad(), before);
}

/* ---- the grammar, systematically ---- */

/* Each is a JSON value; as the value of an unknown key it makes a request that is well formed and refused by that name. */
static const char *const values[] = {
    "0",
    "-0",
    "7",
    "-7",
    "1.5",
    "0.5",
    "1e5",
    "1E5",
    "1e+5",
    "1e-5",
    "1.25e2",
    "123456789012345678",
    "9223372036854775808",
    "18446744073709551615",
    "1e-400",
    "-0.0",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\xc3\xa9\"",
    "\"\xe2\x82\xac\"",
    "\"\xf0\x9f\x98\x80\"",
    "\"\x7f\"",
    "[]",
    "[0]",
    "[0,1]",
    "[[],[[]]]",
    "[null,true,\"x\"]",
    "{}",
    "{\"b\":0}",
    "{\"b\":{\"c\":[1,{}]}}",
    "{\"\":0}",
    "{\"a\":1,\"b\":2}",
    " [ 0 , 1 ] ",
    "\t{\r\n\"b\" : 0 }\n",
};

/* Each is none. */
static const char *const no_values[] = {
    "",
    "00",
    "01",
    "-01",
    "-",
    "+1",
    "--1",
    "1.",
    ".5",
    "-.5",
    "1.e5",
    "1e",
    "1e+",
    "1e-",
    "1ee5",
    "1e5.5",
    "1.2.3",
    "0x1f",
    "0b1",
    "0o7",
    "1_000",
    "1,000,",
    "1 000",
    "1a",
    "NaN",
    "-NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "inf",
    "1e400",
    "-1e400",
    "18446744073709551616",
    "\xef\xbc\x91",
    "True",
    "FALSE",
    "nul",
    "nulll",
    "tru",
    "truee",
    "undefined",
    "None",
    "t",
    "n\xc3\xbcll",
    "\"",
    "\"a",
    "'a'",
    "a",
    "\"a\"b",
    "\"a\" \"b\"",
    "\"\\\"",
    "\"\\",
    "\"\\a\"",
    "\"\\v\"",
    "\"\\0\"",
    "\"\\x41\"",
    "\"\\'\"",
    "\"\\U0041\"",
    "\"\\u\"",
    "\"\\u0\"",
    "\"\\u004\"",
    "\"\\u004g\"",
    "\"\\u 041\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\ud800\"",
    "\"\\ud800x\"",
    "\"\\udc00\\ud800\"",
    "\"\\u0000\"",
    "\"\x01\"",
    "\"\x08\"",
    "\"\x1f\"",
    "\"a\tb\"",
    "\"a\nb\"",
    "\"a\rb\"",
    "\"\x80\"",
    "\"\xc3\"",
    "\"\xc3\x28\"",
    "\"\xc0\x80\"",
    "\"\xc1\xbf\"",
    "\"\xe0\x80\x80\"",
    "\"\xe2\x82\"",
    "\"\xed\xa0\x80\"",
    "\"\xed\xbf\xbf\"",
    "\"\xf0\x80\x80\x80\"",
    "\"\xf0\x9f\x98\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xf5\x80\x80\x80\"",
    "\"\xf8\x88\x80\x80\x80\"",
    "\"\xfe\"",
    "\"\xff\"",
    "[",
    "]",
    "[0",
    "[0,",
    "[,0]",
    "[0,]",
    "[0,,1]",
    "[0 1]",
    "[0;1]",
    "[0:1]",
    "[\"a\":1]",
    "[}",
    "[0}",
    "(0)",
    "[[0]",
    "[0]]",
    "[...]",
    "[0,\x0c]",
    "[\xc2\xa0]",
    "[\xe2\x81\xa0]",
    "[*]",
    "{",
    "}",
    "{0}",
    "{\"b\"}",
    "{\"b\":}",
    "{\"b\":0",
    "{\"b\":0,}",
    "{,\"b\":0}",
    "{\"b\":0,,\"c\":0}",
    "{\"b\" 0}",
    "{\"b\"::0}",
    "{\"b\":0 \"c\":0}",
    "{\"b\":0;\"c\":0}",
    "{b:0}",
    "{'b':0}",
    "{0:0}",
    "{null:0}",
    "{[]:0}",
    "{\"b\":0]",
    "{\"b\"=0}",
    "{\"b\":0,\"b\":1}",
    "{\"b\":0}}",
    "{\"b\\u0000\":0}",
    "{\"\xff\":0}",
    "{\"a\":\"b\"}#",
    "{\"b\":0/**/}",
    "{\"b\":0}//",
    "/**/0",
    "#0",
    "<0>",
    "\xef\xbb\xbf"
    "0",
    "\x0b"
    "0",
    "0\x0c",
};

/* {"odd":VALUE}; gives the status, and whether the error names the key. */
static int ask_odd(struct client *c, const char *value, bool *by_name)
{
    struct buf b = {0};
    struct reply r = {0};
    buf_print(&b, "{\"odd\":%s}", value);
    client_ask(
        c,
        &(struct ask){.method = "POST", .target = COUNT_URL, .type = "application/json", .body = b.data, .len = b.len},
        &r);
    *by_name = r.body.data && strstr(r.body.data, "\"param\":\"odd\"");
    int status = r.status;
    reply_clear(&r);
    buf_clear(&b);
    return status;
}

static void every_value_of_the_grammar_is_read_and_nothing_else(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    size_t read = 0, refused = 0;
    bool by_name;
    for (size_t i = 0; i < COUNT(values); i++) {
        bool good = ask_odd(&c, values[i], &by_name) == 400 && by_name;
        read += good;
        if (!good)
            print_message("!! not read: %s\n", values[i]);
    }
    for (size_t i = 0; i < COUNT(no_values); i++) {
        bool good = ask_odd(&c, no_values[i], &by_name) == 400 && !by_name;
        refused += good;
        if (!good)
            print_message("!! taken: %s\n", no_values[i]);
    }
    char what[80], want[80];
    result_section("JSON: the grammar (as the value of an unknown key, which is named when the value could be read)");
    snprintf(what, sizeof what, "%zu values of every kind", COUNT(values));
    snprintf(want, sizeof want, "%zu read", COUNT(values));
    result_row(read == COUNT(values), what, want, "%zu read", read);
    snprintf(what, sizeof what, "%zu texts that are none", COUNT(no_values));
    snprintf(want, sizeof want, "%zu refused with 400", COUNT(no_values));
    result_row(refused == COUNT(no_values), what, want, "%zu refused with 400", refused);
    client_close(&c);
    assert_int_equal(read, COUNT(values));
    assert_int_equal(refused, COUNT(no_values));
}

/* A request that uses every part of the grammar, cut at every byte, and with every byte replaced by each of a few. */
static void a_request_with_any_byte_cut_or_changed_is_read_or_refused(void **state)
{
    UNUSED(state);
    static const char whole[] = "{\"filter\":{\"must\":[{\"key\":\"a.b\",\"match\":{\"any\":[\"x\",-1,true]}},"
                                "{\"key\":\"n\",\"range\":{\"gt\":-1.5e3,\"lte\":0}}],\"must_not\":[]}}";
    static const char others[] = {0,   1,   ' ', '"', '\\', '{', '}',        '[',
                                  ']', ',', ':', '0', 'e',  '-', (char)0x80, (char)0xff};
    struct client c = client_to(server.port);
    struct ask q = {.method = "POST", .target = COUNT_URL, .type = "application/json", .body = whole};
    struct reply r = {0};
    size_t cut = 0, taken = 0, refused = 0, other = 0;
    for (q.len = 0; q.len + 1 < sizeof whole; q.len++) {
        client_ask(&c, &q, &r);
        cut += r.status == 400;
    }
    client_ask(&c, &q, &r);
    assert_int_equal(r.status, 200);
    for (size_t i = 0; i < COUNT(others) * q.len; i++) {
        char changed[sizeof whole];
        memcpy(changed, whole, sizeof whole);
        changed[i / COUNT(others)] = others[i % COUNT(others)];
        q.body = changed;
        client_ask(&c, &q, &r);
        *(r.status == 200 ? &taken : r.status == 400 ? &refused : &other) += 1;
    }
    char what[80];
    snprintf(what, sizeof what, "a request of %zu bytes cut at each of them", q.len);
    result_row(cut >= q.len - 1, what, "400", "%zu times 400", cut);
    snprintf(what, sizeof what, "each byte replaced by each of %zu others", COUNT(others));
    result_row(other == 0, what, "200/400", "%zu times 200, %zu times 400, %zu other", taken, refused, other);
    assert_true(cut >= q.len - 1); /* nothing at all counts everything */
    assert_int_equal(other, 0);
    reply_clear(&r);
    client_close(&c);
}

/* ---- too much of it ---- */

static void repeat(struct buf *b, const char *before, const char *part, size_t n, const char *after)
{
    buf_text(b, before);
    for (size_t i = 0; i < n; i++)
        buf_text(b, part);
    buf_text(b, after);
}

static void probe_repeated(const char *what, const char *pattern, const char *before, const char *part, size_t n,
                           const char *after)
{
    struct buf b = {0};
    repeat(&b, before, part, n, after);
    probe_json(what, pattern, NULL, SEARCH, b.data, b.len);
    buf_clear(&b);
}

static void much_json_costs_bounded_memory(void **state)
{
    UNUSED(state);
    int before = results_bad();
    struct buf b = {0};
    result_section("JSON: too much of it (POST .../search)");
    probe_repeated("an object nested 2,049 deep", "400", "", "{\"a\":", 2049, "1");
    probe_repeated("100,000 open brackets", "400", "", "[", 100000, "");
    size_t rss = server_rss(&server);
    probe_repeated("4 MB of {}, in a list", "400/413", "{\"vector\":[", "{},", 1400000, "1]}");
    probe_repeated("4 MB of 0, in a list", "400/413", "{\"vector\":[", "0,", 2000000, "0]}");
    probe_repeated("a million floats as the vector", "400/413", "{\"vector\":[", "0.5,", 1000000, "0.5]}");
    for (size_t i = 0; i < 300000; i++)
        buf_print(&b, "%s\"k%zu\":0", i ? "," : "{", i);
    buf_char(&b, '}');
    probe_json("300,000 keys", "400/413", NULL, SEARCH, b.data, b.len);
    buf_clear(&b);
    repeat(&b, "{\"id\":\"", "abcdefgh", 131072, "\"}");
    probe_json("an id of 1 MB", "400", "invalid_request", SEARCH, b.data, b.len);
    buf_clear(&b);
    size_t now = server_rss(&server), grown = now > rss ? (now - rss) >> 20 : 0;
    result_row(grown <= 64 * T_BULKIER, "resident memory after these", "at most 64 MB more", "%zu MB more", grown);
    assert_int_equal(results_bad(), before);
}

/* ---- values ---- */

struct value {
    const char *what, *json, *param;
};

static void values_that_cannot_be_are_refused_by_name(void **state)
{
    UNUSED(state);
    static const struct value bad[] = {
        {"limit 0", "{\"id\":\"there\",\"limit\":0}", "limit"},
        {"limit -1", "{\"id\":\"there\",\"limit\":-1}", "limit"},
        {"limit 1001", "{\"id\":\"there\",\"limit\":1001}", "limit"},
        {"limit 10^9", "{\"id\":\"there\",\"limit\":1000000000}", "limit"},
        {"limit 1.5", "{\"id\":\"there\",\"limit\":1.5}", "limit"},
        {"limit \"5\"", "{\"id\":\"there\",\"limit\":\"5\"}", "limit"},
        {"an unknown key", "{\"id\":\"there\",\"limitt\":5}", "limitt"},
        {"nothing to search by", "{\"limit\":5}", NULL},
        {"two things to search by", "{\"id\":\"there\",\"vector\":[1]}", NULL},
        {"an id that is a number", "{\"id\":5}", "id"},
        {"an id with a line break", "{\"id\":\"a\\nb\"}", "id"},
        {"an empty vector", "{\"model\":\"small\",\"vector\":[]}", "vector"},
        {"a vector of the wrong length", "{\"model\":\"small\",\"vector\":[1,2,3]}", "vector"},
        {"a vector with a null", "{\"model\":\"small\",\"vector\":[null]}", NULL},
        {"a vector with 1e39", "{\"model\":\"small\",\"vector\":[1e39]}", NULL},
        {"a vector that is a text", "{\"model\":\"small\",\"vector\":\"abc\"}", "vector"},
        {"a threshold that is a text", "{\"id\":\"there\",\"score_threshold\":\"high\"}", "score_threshold"},
        {"exact: 1", "{\"id\":\"there\",\"exact\":1}", "exact"},
        {"ef 0", "{\"id\":\"there\",\"ef\":-5}", "ef"},
        {"a filter that is a list", "{\"id\":\"there\",\"filter\":[]}", NULL},
        {"a filter with an unknown word", "{\"id\":\"there\",\"filter\":{\"maybe\":[]}}", NULL},
        {"a range with a text", "{\"id\":\"there\",\"filter\":{\"must\":[{\"key\":\"a\",\"range\":{\"gt\":\"x\"}}]}}",
         NULL},
        {"an image that is no base64", "{\"image\":\"!!!\"}", "image"},
        {"no positive examples", "{\"positive\":[]}", NULL},
    };
    int before = results_bad();
    result_section("JSON: values that cannot be (POST .../search); the error names the field");
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct client c = client_to(server.port);
        struct reply r = {0};
        char want[100], got[100] = "";
        client_ask(&c,
                   &(struct ask){.method = "POST",
                                 .target = SEARCH,
                                 .type = "application/json",
                                 .body = bad[i].json,
                                 .len = strlen(bad[i].json)},
                   &r);
        const char *param = r.body.data ? strstr(r.body.data, "\"param\":\"") : NULL;
        if (param)
            snprintf(got, sizeof got, "%.*s", (int)strcspn(param + 9, "\""), param + 9);
        snprintf(want, sizeof want, "400 %s", bad[i].param ? bad[i].param : "");
        result_row(r.status == 400 && (!bad[i].param || strcmp(bad[i].param, got) == 0), bad[i].what, want, "%d %s",
                   r.status, got);
        reply_clear(&r);
        client_close(&c);
    }
    assert_int_equal(results_bad(), before);
}

static void probe_embedding(const char *what, const char *pattern, const char *code, const char *json)
{
    probe_json(what, pattern, code, "/v1/embeddings", json, strlen(json));
}

static void requests_for_embeddings_are_checked_item_by_item(void **state)
{
    UNUSED(state);
    int before = results_bad();
    struct buf code = {0}, body = {0};
    struct client c = client_to(server.port);
    base64_encode(photo.data, photo.len, &code);
    result_section("JSON: embeddings");
    probe_embedding("no input", "400", "invalid_request", "{\"model\":\"small\"}");
    probe_embedding("an empty list", "400", "invalid_request", "{\"model\":\"small\",\"input\":[]}");
    probe_embedding("a number as input", "400", "invalid_request", "{\"model\":\"small\",\"input\":5}");
    probe_embedding("a web address as input", "400/422", NULL,
                    "{\"model\":\"small\",\"input\":\"https://localhost/a.jpg\"}");
    probe_embedding("an unknown model", "404", "not_found", "{\"model\":\"none\",\"input\":\"QUJD\"}");
    probe_embedding("an unknown encoding", "400", "invalid_request",
                    "{\"model\":\"small\",\"input\":\"QUJD\",\"encoding_format\":\"hex\"}");
    probe_embedding("dimensions 0", "400", "invalid_request",
                    "{\"model\":\"small\",\"input\":\"QUJD\",\"dimensions\":0}");
    probe_embedding("base64 of no picture", "415/422", NULL,
                    "{\"model\":\"small\",\"input\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJw==\"}");
    buf_print(&body,
              "{\"model\":\"small\",\"input\":[\"%s\",\"%s\",\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJw=="
              "\",\"%s\"]}",
              code.data, code.data, code.data);
    expect_error(&c, 422, "undecodable_image", "input[2]",
                 &(struct ask){.method = "POST",
                               .target = "/v1/embeddings",
                               .type = "application/json",
                               .body = body.data,
                               .len = body.len});
    result_row(true, "four items, the third is no picture", "422 with param input[2]", "422 with param input[2]");
    body.len--;
    buf_text(&body, ",\"on_error\":\"item\"}");
    struct json *some = expect_post(&c, 200, "/v1/embeddings", body.data);
    assert_int_equal(count_at(some, "data"), 4);
    assert_true(text_at(some, "data.2.error.code")[0]);
    assert_int_equal(count_at(some, "data.3.embedding"), 64);
    result_row(true, "the same with on_error=item", "200, data[2].error, the others embedded",
               "200, data[2].error, the others embedded");
    json_free(some);
    buf_clear(&code);
    buf_clear(&body);
    client_close(&c);
    assert_int_equal(results_bad(), before);
}

/* ---- labels and metadata ---- */

static void put_with(const char *what, const char *pattern, const char *query)
{
    struct buf target = {0};
    buf_print(&target, "/v1/collections/default/images/m?%s", query);
    probe_ask(&server, what, pattern, NULL,
              &(struct ask){
                  .method = "PUT", .target = target.data, .type = "image/jpeg", .body = photo.data, .len = photo.len});
    buf_clear(&target);
}

static void metadata_has_its_limits(void **state)
{
    UNUSED(state);
    int before = results_bad();
    struct buf b = {0};
    result_section("Labels and metadata (PUT .../images/{id})");
    put_with("metadata {}", "200/201", "metadata=%7B%7D");
    put_with("metadata that is a list", "400", "metadata=%5B%5D");
    put_with("metadata that is no JSON", "400", "metadata=%7B");
    put_with("a nested value in metadata", "200/400", "metadata=%7B%22a%22%3A%7B%22b%22%3A1%7D%7D");
    put_with("\\u0000 in metadata", "400", "metadata=%7B%22a%22%3A%22%5Cu0000%22%7D");
    put_with("a lone surrogate in metadata", "400", "metadata=%7B%22a%22%3A%22%5Cud800%22%7D");
    put_with("metadata that names a key twice", "400", "metadata=%7B%22a%22%3A1%2C%22a%22%3A2%7D");
    repeat(&b, "metadata=%7B%22a%22%3A%22", "abcdefgh", 520, "%22%7D");
    put_with("metadata of 4,170 bytes", "400/413", b.data);
    buf_clear(&b);
    repeat(&b, "label=", "abcdefgh", 33, "");
    put_with("a label of 264 bytes", "400", b.data);
    buf_clear(&b);
    put_with("a control character in the label", "400/200/201", "label=a%0Ab");
    put_with("bad UTF-8 in the label", "400", "label=%ff");
    assert_int_equal(results_bad(), before);
}

static void hostile_text_is_stored_as_it_is_and_forges_no_log_line(void **state)
{
    UNUSED(state);
    static const char *const texts[] = {"'; DROP TABLE image; --",   "$(reboot)", "\\\" OR 1=1",
                                        "<script>alert(1)</script>", "%s%n%x",    "../../etc/passwd"};
    struct client c = client_to(server.port);
    result_section("Hostile text");
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct buf body = {0};
        struct json_writer w = jw_to(&body);
        jw_object(&w, NULL);
        jw_text(&w, "label", texts[i]);
        jw_object(&w, "metadata");
        jw_text(&w, "text", texts[i]);
        jw_end(&w);
        jw_end(&w);
        struct json *made = expect_json(&c, 200,
                                        &(struct ask){.method = "PATCH",
                                                      .target = "/v1/collections/default/images/there",
                                                      .type = "application/json",
                                                      .body = body.data,
                                                      .len = body.len});
        bool same =
            strcmp(text_at(made, "label"), texts[i]) == 0 && strcmp(text_at(made, "metadata.text"), texts[i]) == 0;
        result_row(same, texts[i], "stored as it is", "%s", same ? "stored as it is" : "changed");
        assert_true(same);
        json_free(made);
        buf_clear(&body);
    }
    probe_ask(&server, "a line break and a forged log line in the request id", "200/400", NULL,
              &(struct ask){.method = "GET",
                            .target = "/healthz?x=%0Alevel%3Derror%20msg%3Dforged",
                            .headers = "X-Request-Id: a level=error msg=forged\r\n"});
    assert_int_equal(server_log_count(&server, "\nlevel=error msg=forged"), 0);
    client_close(&c);
}

/* ---- answers that are not errors ---- */

static void searching_what_is_empty_or_small_gives_what_there_is(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    json_free(expect_json(
        &c, 201,
        &(struct ask){
            .method = "PUT", .target = "/v1/collections/empty", .body = "{}", .len = 2, .type = "application/json"}));
    struct json *none = expect_json(&c, 200,
                                    &(struct ask){.method = "POST",
                                                  .target = "/v1/collections/empty/search",
                                                  .type = "image/jpeg",
                                                  .body = photo.data,
                                                  .len = photo.len});
    struct json *few = expect_json(&c, 200,
                                   &(struct ask){.method = "POST",
                                                 .target = SEARCH "?limit=1000",
                                                 .type = "image/jpeg",
                                                 .body = photo.data,
                                                 .len = photo.len});
    result_section("Searches with few images");
    result_row(count_at(none, "data") == 0, "a search in an empty collection", "200, nothing found", "200, %zu found",
               count_at(none, "data"));
    struct json *list = expect_get(&c, 200, "/v1/collections/default/images?limit=1000");
    result_row(count_at(few, "data") == count_at(list, "data"), "limit 1000 where there are few", "all of them",
               "%zu of %zu", count_at(few, "data"), count_at(list, "data"));
    assert_int_equal(count_at(none, "data"), 0);
    assert_int_equal(count_at(few, "data"), count_at(list, "data"));
    json_free(none);
    json_free(few);
    json_free(list);
    client_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_is_no_json_is_refused),
        cmocka_unit_test(every_value_of_the_grammar_is_read_and_nothing_else),
        cmocka_unit_test(a_request_with_any_byte_cut_or_changed_is_read_or_refused),
        cmocka_unit_test(much_json_costs_bounded_memory),
        cmocka_unit_test(values_that_cannot_be_are_refused_by_name),
        cmocka_unit_test(requests_for_embeddings_are_checked_item_by_item),
        cmocka_unit_test(metadata_has_its_limits),
        cmocka_unit_test(hostile_text_is_stored_as_it_is_and_forges_no_log_line),
        cmocka_unit_test(searching_what_is_empty_or_small_gives_what_there_is),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
