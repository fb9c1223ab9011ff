/* expect.h - asks a server and asserts what it answers.  On the test's main thread only: it fails the test itself.
 *
 *     struct json *found = expect_json(&c, 200, &(struct ask){.method = "POST", .target = "/v1/...", ...});
 *     assert_string_equal(text_at(found, "data.0.id"), "cat");
 *     json_free(found);
 */
#ifndef ANCHORD_TESTS_LIB_EXPECT_H
#define ANCHORD_TESTS_LIB_EXPECT_H

#include "base/json.h"
#include "tests/lib/client.h"
#include "tests/lib/process.h"

/* Starts a server and fails the test when it does not listen. */
void expect_start(struct server *s, const struct server_options *o);
/* Stops it with SIGTERM, asserts exit code 0, removes its folder. */
void expect_stop(struct server *s);

/* Asks, asserts the status and that the answer is JSON; the caller frees the document. */
struct json *expect_json(struct client *c, int status, const struct ask *q);
/* The same for answers without content that matters: asserts the status only. */
void expect_status(struct client *c, int status, const struct ask *q);
/* Asserts a status from 400 and the error object with this code; `param` NULL: any. */
void expect_error(struct client *c, int status, const char *code, const char *param, const struct ask *q);
struct json *expect_get(struct client *c, int status, const char *target);
struct json *expect_post(struct client *c, int status, const char *target, const char *json);
void expect_put_image(struct client *c, int status, const char *target, const void *jpeg, size_t len);

/* The value at a path such as "data.0.id"; the test fails when there is none.  Borrowed. */
const struct json *value_at(const struct json *doc, const char *path);
const char *text_at(const struct json *doc, const char *path);
int64_t int_at(const struct json *doc, const char *path);
double real_at(const struct json *doc, const char *path);
size_t count_at(const struct json *doc, const char *path);

/* A JPEG drawn by us; the same seed gives the same bytes.  Appended to out. */
void draw_jpeg(uint64_t seed, uint32_t side, struct buf *out);

#endif
