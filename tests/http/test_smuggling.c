/* test_smuggling.c - what stands behind a broken request is never run: a stored image outlives thousands of DELETEs.
 *
 * Each kind of tests/lib/broken.h in 200 variations ($SMUGGLE: so many), over plain connections to the program and over
 * TLS to the same listeners in front of a double.
 */
#include "tests/t.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "server/commands/tls_link.h"
#include "server/http/certificate.h"
#include "tests/lib/broken.h"
#include "tests/lib/certificates.h"
#include "tests/lib/expect.h"
#include "tests/lib/http_double.h"
#include "tests/lib/results_table.h"

#define VICTIM "/v1/collections/default/images/victim"

static const struct broken_target program = {
    .get = "/healthz",
    .post = "/v1/collections/default/images/count",
    .type = "Content-Type: application/json\r\n",
    .second = "DELETE " VICTIM " HTTP/1.1\r\nHost: localhost\r\n\r\n",
};

static size_t variations(size_t usual)
{
    const char *text = getenv("SMUGGLE");
    return text ? strtoul(text, NULL, 10) : usual;
}

/* What came back, told in a few words; the expected ones when it is right. */
static void tell(const char *answers, size_t good, bool closed, char out[80])
{
    size_t all = t_times(answers, "HTTP/1.1 "), ok = t_times(answers, "HTTP/1.1 200"),
           refused = t_times(answers, "HTTP/1.1 400");
    const char *last = strstr(answers, "HTTP/1.1 400");
    bool object = last && strstr(last, "{\"error\":{\"message\":") && strstr(last, "\"code\":\"invalid_request\"}}");
    bool right = ok == good && refused == 1 && all == good + 1 && object && closed;
    if (right)
        snprintf(out, 80, "400 close");
    else
        snprintf(out, 80, "%zu of %zu answers, %zu times 400%s%s", ok, good, refused, object ? "" : ", no error object",
                 closed ? "" : ", not closed");
}

/* ---- over plain connections ---- */

static bool read_to_the_end(struct client *c, struct buf *out)
{
    char piece[4096];
    ssize_t got;
    struct timeval patience = {.tv_sec = (time_t)t_patience(5)};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while ((got = recv(c->fd, piece, sizeof piece, 0)) > 0)
        buf_add(out, piece, (size_t)got);
    buf_char(out, 0);
    return got == 0 || errno == ECONNRESET; /* that is an end, too, while we were still sending */
}

static void one(uint16_t port, size_t kind, size_t variation, const struct broken_target *t, char what[80])
{
    struct client c = client_to(port);
    struct buf bytes = {0}, answers = {0};
    struct rng rng = rng_for(2, kind, variation);
    size_t good = broken_make(kind, variation, t, &bytes);
    assert_true(client_connect(&c));
    for (size_t at = 0, part; at < bytes.len; at += part) {
        part = broken_part(variation, &rng, bytes.len - at);
        if (!client_send(&c, bytes.data + at, part, 5))
            break; /* refused already */
    }
    bool closed = read_to_the_end(&c, &answers);
    tell(answers.data, good, closed, what);
    client_close(&c);
    buf_clear(&bytes);
    buf_clear(&answers);
}

static void assert_stored(const struct server *s)
{
    struct client c = client_to(s->port);
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = VICTIM});
    client_close(&c);
}

static void nothing_behind_a_broken_request_is_run(void **state)
{
    UNUSED(state);
    struct server s;
    struct buf jpeg = {0};
    int bad = results_bad();
    size_t n = variations(200);
    char heading[120];
    expect_start(&s, &(struct server_options){0});
    struct client c = client_to(s.port);
    draw_jpeg(1, 64, &jpeg);
    expect_put_image(&c, 201, VICTIM, jpeg.data, jpeg.len);
    client_close(&c);
    snprintf(heading, sizeof heading, "Requests: broken ones, each kind in %zu variations, a DELETE behind each", n);
    result_section(heading);
    for (size_t k = 0; k < broken_kinds(); k++) {
        char first_wrong[120] = "400 close";
        size_t wrong = 0;
        for (size_t i = 0; i < n; i++) {
            char what[80];
            one(s.port, k, i, &program, what);
            if (strcmp(what, "400 close") != 0 && !wrong++)
                snprintf(first_wrong, sizeof first_wrong, "variation %zu: %s", i, what);
        }
        result_row(wrong == 0, broken_name(k), "400 close", "%s", first_wrong);
    }
    assert_stored(&s);
    assert_int_equal(server_log_count(&s, "method=DELETE"), 0);
    assert_int_equal(results_bad(), bad);
    buf_clear(&jpeg);
    expect_stop(&s);
}

/* The same second request is run when nothing is wrong with the first: else the test above shows nothing. */
static void behind_a_good_request_it_is_run(void **state)
{
    UNUSED(state);
    struct server s;
    struct buf jpeg = {0}, bytes = {0};
    expect_start(&s, &(struct server_options){0});
    struct client c = client_to(s.port);
    struct reply r = {0};
    draw_jpeg(1, 64, &jpeg);
    expect_put_image(&c, 201, VICTIM, jpeg.data, jpeg.len);
    buf_print(&bytes, "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: 2\r\n\r\n{}%s", program.post,
              program.type, program.second);
    assert_true(client_send(&c, bytes.data, bytes.len, 5));
    for (int i = 0; i < 2; i++) {
        assert_true(client_receive(&c, false, 5, &r));
        assert_in_range(r.status, 200, 204);
    }
    expect_status(&c, 404, &(struct ask){.method = "GET", .target = VICTIM});
    client_close(&c);
    reply_clear(&r);
    buf_clear(&jpeg);
    buf_clear(&bytes);
    expect_stop(&s);
}

/* ---- over TLS ---- */

static const struct broken_target doubled = {
    .get = "/fast",
    .post = "/echo",
    .type = "",
    .second = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\nsecond!",
};

static void one_over_tls(uint16_t port, size_t kind, size_t variation, char what[80], size_t *good)
{
    struct client c = client_to(port);
    struct buf bytes = {0};
    struct rng rng = rng_for(3, kind, variation);
    struct err e = {0};
    char fingerprint[HASH_HEX], answers[16384];
    size_t n = 0;
    ssize_t got = 0;
    certificate_fingerprint(fingerprint);
    *good = broken_make(kind, variation, &doubled, &bytes);
    assert_true(client_connect(&c));
    struct tls_link *l = tls_link_open(c.fd, "localhost", &(struct tls_trust){.certificate = fingerprint}, &e);
    if (!l)
        fail_msg("%s", e.text);
    for (size_t at = 0, part; at < bytes.len; at += part) {
        part = broken_part(variation, &rng, bytes.len - at);
        if (tls_link_send(l, bytes.data + at, part) != (ssize_t)part)
            break;
    }
    while (n + 1 < sizeof answers && (got = tls_link_receive(l, answers + n, sizeof answers - 1 - n)) > 0)
        n += (size_t)got;
    answers[n] = 0;
    tell(answers, *good, got <= 0, what);
    tls_link_close(l);
    client_close(&c);
    buf_clear(&bytes);
}

static void nor_under_tls(void **state)
{
    UNUSED(state);
    static struct pem pem;
    struct fixture f;
    certificate_make("localhost", &pem);
    fixture_open(&f, NULL, NULL, pem.cert, pem.key);
    for (size_t k = 0; k < broken_kinds(); k++)
        for (size_t i = 0; i < variations(8); i++) {
            char what[80];
            size_t good;
            atomic_store(&double_executed, 0);
            one_over_tls(f.port, k, i, what, &good);
            if (strcmp(what, "400 close") != 0 || (size_t)atomic_load(&double_executed) != good)
                fail_msg("%s, variation %zu: %s; %d run, %zu were good", broken_name(k), i, what,
                         atomic_load(&double_executed), good);
        }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_behind_a_broken_request_is_run),
        cmocka_unit_test(behind_a_good_request_it_is_run),
        cmocka_unit_test(nor_under_tls),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
