/* fuzz_request.c - whole requests to a small app: a line with method, path and query, a line with the content
 * type, a line with a condition or a pin, and the body.  Calls are driven up to their writes, which are then
 * refused, so that no input sees what another one did.
 */
#include <string.h>

#include "api/requests/answer.h"
#include "base/percent.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/rig.h"

static void end(void)
{
    rig_close(rig);
}

static void begin(void)
{
    rig = rig_open();
    rig_put(rig, "a", 1, 1, "red");
    rig_put(rig, "b", 2, 2, NULL);
    atexit(end);
}

/* Cuts the next line off; NULL for an empty one. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = strchr(line, '\n');
    *rest = end ? end + 1 : line + strlen(line);
    if (end)
        *end = 0;
    return *line ? line : NULL;
}

static void parse_query(char *query, struct request *q, struct pair *pairs, size_t room)
{
    char *save = NULL;
    for (char *p = strtok_r(query, "&", &save); p && q->n_query < room; p = strtok_r(NULL, "&", &save)) {
        char *value = strchr(p, '=');
        if (value)
            *value++ = 0;
        else
            value = p + strlen(p);
        if (percent_decode(p, strlen(p), p) && percent_decode(value, strlen(value), value))
            pairs[q->n_query++] = (struct pair){p, value};
    }
}

static bool parse_first_line(char *line, struct request *q, struct pair *pairs, size_t room)
{
    static const struct {
        char letter;
        enum method method;
    } methods[] = {{'G', METHOD_GET}, {'U', METHOD_PUT}, {'P', METHOD_POST}, {'A', METHOD_PATCH}, {'D', METHOD_DELETE}};
    if (!line || strlen(line) < 2)
        return false;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (line[0] == methods[i].letter)
            q->method = methods[i].method;
    q->path = line + 1;
    char *query = strchr(line, '?');
    if (query) {
        *query++ = 0;
        parse_query(query, q, pairs, room);
    }
    return true;
}

static void drive(struct call *c)
{
    static const struct image_limits limits = {
        .bytes = 1 << 20, .pixels = 1 << 18, .side = 2048, .scans = 20, .millis = 2000};
    const struct err full = {.code = ERR_BUSY, .text = "no writes here"};
    while (c->state != CALL_DONE) {
        for (size_t i = 0; c->state == CALL_IMAGES && i < c->n_images; i++)
            call_image(&c->images[i], rig->plans, &limits);
        if (c->state == CALL_WRITES)
            call_refuse(c, &full);
        else
            call_step(c);
    }
}

static void check_response(const struct response *r)
{
    FUZZ_CHECK(r->status >= 200 && r->status < 600);
    FUZZ_CHECK(r->status < 500 || r->status == 503); /* nothing a client sends is our failure */
    FUZZ_CHECK(!r->content_type == !r->body.len);
    if (r->content_type && strcmp(r->content_type, "application/json") == 0) {
        struct json *v = json_parse(r->body.data, r->body.len, (size_t)1 << 30, NULL);
        FUZZ_CHECK(v);
        FUZZ_CHECK((r->status >= 400 && r->status != 503) == (json_member(json_member(v, "error"), "code") != NULL) ||
                   r->status == 503);
        json_free(v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair pairs[16];
    struct request q = {.query = pairs, .role = ROLE_WRITE, .request_id = "fuzz"};
    struct call c;
    if (!rig)
        begin();
    char *copy = mem_new(size + 1, 1), *rest = copy;
    memcpy(copy, data, size);
    if (parse_first_line(next_line(&rest), &q, pairs, sizeof pairs / sizeof *pairs)) {
        q.content_type = next_line(&rest);
        q.if_match = q.if_none_match = q.pin = next_line(&rest);
        q.body = rest;
        q.body_len = size - (size_t)(rest - copy);
        call_begin(&c, rig->app, &q);
        drive(&c);
        check_response(&c.response);
        call_free(&c);
    }
    free(copy);
    return 0;
}
