/* probe.c - sends one piece of bad input and compares what comes back with a pattern. */
#include "tests/lib/probe.h"

#include "tests/t.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "tests/lib/results_table.h"

static const double quiet_s = 0.12; /* so long without a further answer: there is none */

static bool status_fits(const char *want, const char *got)
{
    for (; *want && *want != '/' && *want != ' '; want++, got++)
        if (*want != *got && *want != 'x')
            return false;
    return *got == ' ' || *got == 0;
}

/* One word of the pattern, such as "400/501". */
static bool word_fits(const char *word, const char *got)
{
    for (;;) {
        if (status_fits(word, got))
            return true;
        word += strcspn(word, "/ ");
        if (*word++ != '/')
            return false;
    }
}

bool pattern_fits(const char *pattern, const char *got)
{
    while (*pattern) {
        if (strcmp(pattern, "close?") == 0)
            return !*got || strcmp(got, "close") == 0;
        if (!*got || !word_fits(pattern, got))
            return false;
        pattern += strcspn(pattern, " ");
        pattern += *pattern == ' ';
        got += strcspn(got, " ");
        got += *got == ' ';
    }
    return !*got;
}

/* How many words of the pattern must come. */
static size_t words_due(const char *pattern)
{
    size_t n = 0;
    for (; *pattern && strcmp(pattern, "close?") != 0; pattern += *pattern == ' ') {
        pattern += strcspn(pattern, " ");
        n++;
    }
    return n;
}

/* The answers that come, as "400 close"; gives the seconds until the last thing happened.  What is due is waited for
 * patiently, what is not for a moment. */
static double collect(struct client *c, size_t due, double max_s, char *out, size_t size)
{
    struct reply r = {0};
    size_t n = 0, words = 0;
    double start = clock_s(), last = start;
    bool closed = false;
    out[0] = 0;
    while (!closed && n + 8 < size) {
        bool whole = client_receive(c, false, words < max_size(due, 1) ? max_s : quiet_s, &r);
        if (r.status) {
            bool told = r.status < 400 || reply_is_error_object(&r);
            n += (size_t)snprintf(out + n, size - n, "%s%d%s", n ? " " : "", r.status, told ? "" : "(no error object)");
            words++;
        }
        closed = r.closed;
        if (r.status || closed)
            last = clock_s();
        if (!whole && !closed)
            break;
    }
    if (!closed && words && client_drained(c, quiet_s)) {
        closed = true;
        last = clock_s();
    }
    if (closed)
        snprintf(out + n, size - n, "%sclose", n ? " " : "");
    reply_clear(&r);
    return last - start;
}

static bool lives(struct server *s)
{
    struct client c = client_to(s->port);
    struct reply r = {0};
    client_ask(&c, &(struct ask){.method = "GET", .target = "/healthz", .timeout = 1}, &r);
    bool ok = r.status == 200 && server_alive(s);
    reply_clear(&r);
    client_close(&c);
    return ok;
}

/* One row of the table; `code` of the error is "" where there is none or any will do. */
struct outcome {
    const char *what, *pattern, *code;
    const char *got, *got_code;
    double seconds, used, limit; /* until the answer; of the processor; of either at most */
};

static void row(struct server *s, const struct outcome *o)
{
    char expected[200], got[500];
    bool quick = o->seconds <= t_patience(o->limit) && o->used <= o->limit * T_SLOWER, alive = lives(s);
    bool good = pattern_fits(o->pattern, o->got) && (!o->code[0] || strcmp(o->code, o->got_code) == 0);
    snprintf(expected, sizeof expected, "%s%s%s", o->pattern, o->code[0] ? " " : "", o->code);
    snprintf(got, sizeof got, "%s%s%s", o->got[0] ? o->got : "nothing", o->got_code[0] ? " " : "", o->got_code);
    result_row(good && quick && alive, o->what, expected, "%s%s%s", got, quick ? "" : ", late",
               alive ? "" : ", and /healthz does not answer");
}

void probe_raw(struct server *s, const char *what, const char *pattern, const void *bytes, size_t len, double max_s)
{
    struct client c = client_to(s->port);
    char got[400] = "";
    double limit = max_s > 0 ? max_s : 1, seconds = 0, used = server_cpu(s);
    if (client_connect(&c)) {
        client_send(&c, bytes, len, limit);
        seconds = collect(&c, words_due(pattern), limit + 1, got, sizeof got);
    }
    client_close(&c);
    row(s, &(struct outcome){what, pattern, "", got, "", seconds, server_cpu(s) - used, limit});
}

void probe_text(struct server *s, const char *what, const char *pattern, const char *text)
{
    probe_raw(s, what, pattern, text, strlen(text), 1);
}

/* The code of the error object that the body is; "no error object" when it is none, "" below 400. */
static void error_code(const struct reply *r, char *out, size_t size)
{
    const char *body = r->body.data ? r->body.data : "", *code = strstr(body, "\"code\":\"");
    out[0] = 0;
    if (r->status >= 400 && (!code || !reply_is_error_object(r)))
        snprintf(out, size, "no error object");
    else if (r->status >= 400)
        snprintf(out, size, "%.*s", (int)strcspn(code + 8, "\""), code + 8);
}

void probe_ask(struct server *s, const char *what, const char *pattern, const char *code, const struct ask *q)
{
    struct client c = client_to(s->port);
    struct reply r = {0};
    char got[32] = "", got_code[80];
    struct ask patient = *q;
    const double limit = q->timeout > 0 ? q->timeout : 5, used = server_cpu(s);
    patient.timeout = limit < 1 ? 1 : limit;
    client_ask(&c, &patient, &r);
    if (r.status)
        snprintf(got, sizeof got, "%d", r.status);
    error_code(&r, got_code, sizeof got_code);
    row(s, &(struct outcome){what, pattern, code ? code : "", got, got_code, r.seconds, server_cpu(s) - used, limit});
    reply_clear(&r);
    client_close(&c);
}
