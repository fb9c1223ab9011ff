/* http_guard.c - refuses request heads that could be read in more than one way. */
#include "server/http/http_guard.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"

const char guard_methods[] = "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS";

static const struct {
    const char *name;
    enum method method;
} methods[] = {
    {"GET", METHOD_GET},         {"HEAD", METHOD_HEAD},   {"PUT", METHOD_PUT},
    {"POST", METHOD_POST},       {"PATCH", METHOD_PATCH}, {"DELETE", METHOD_DELETE},
    {"OPTIONS", METHOD_OPTIONS}, {"TRACE", METHOD_TRACE}, /* of no path, which each path says with its Allow */
};

/* The fields that somebody behind the guard reads; each may be there once. */
static const struct {
    const char *name;
    size_t offset;
} known[] = {
    {"host", offsetof(struct head_facts, host)},
    {"content-length", offsetof(struct head_facts, length_text)},
    {"transfer-encoding", offsetof(struct head_facts, coding)},
    {"content-type", offsetof(struct head_facts, content_type)},
    {"content-encoding", offsetof(struct head_facts, content_encoding)},
    {"expect", offsetof(struct head_facts, expect)},
    {"authorization", offsetof(struct head_facts, authorization)},
    {"api-key", offsetof(struct head_facts, api_key)},
    {"x-api-key", offsetof(struct head_facts, x_api_key)},
    {"origin", offsetof(struct head_facts, origin)},
    {"sec-fetch-site", offsetof(struct head_facts, fetch_site)},
    {"sec-fetch-dest", offsetof(struct head_facts, fetch_dest)},
    {"accept", offsetof(struct head_facts, accept)},
    {"if-match", offsetof(struct head_facts, if_match)},
    {"if-none-match", offsetof(struct head_facts, if_none_match)},
    {"anchord-generation", offsetof(struct head_facts, generation)},
    {"x-request-id", offsetof(struct head_facts, request_id)},
    {"last-event-id", offsetof(struct head_facts, last_event_id)},
    {"access-control-request-method", offsetof(struct head_facts, wanted_method)},
    {"access-control-request-headers", offsetof(struct head_facts, wanted_headers)},
};

/* RFC 9110, 5.6.2. */
static bool is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return len > 0;
}

static bool has_control(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)s[i] < 32 && s[i] != '\t') || s[i] == 127)
            return true;
    return false;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

/* Printable ASCII (and spaces in a query), each percent sign with two digits, never %00. */
static bool is_url_text(const char *s, size_t len, bool query)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] < 33 ? !(query && s[i] == ' ') : s[i] > 126)
            return false;
        if (s[i] == '%' &&
            (len - i < 3 || !is_hex(s[i + 1]) || !is_hex(s[i + 2]) || (s[i + 1] == '0' && s[i + 2] == '0')))
            return false;
    }
    return true;
}

static bool take_field(const struct head_field *f, struct head_facts *out, struct err *e)
{
    if (!is_token(f->name, f->name_len))
        return err_set(e, ERR_BAD_INPUT, "a header's name has characters that names cannot have");
    if (has_control(f->value, f->value_len))
        return err_set(e, ERR_BAD_INPUT, "a header's value has control characters");
    for (size_t i = 0; i < COUNT(known); i++) {
        if (strcasecmp(known[i].name, f->name) != 0)
            continue;
        const char **at = (const char **)(void *)((char *)out + known[i].offset);
        if (*at)
            return err_set(e, ERR_BAD_INPUT, "header %s is there more than once", known[i].name);
        *at = f->value;
    }
    return true;
}

static bool check_line(const struct head *h, struct head_facts *out, struct err *e)
{
    for (size_t i = 0; i < COUNT(methods); i++)
        if (!strcmp(methods[i].name, h->method))
            out->method = methods[i].method;
    if (strcmp(h->version, "HTTP/1.1") != 0 && strcmp(h->version, "HTTP/1.0") != 0)
        return err_set(e, ERR_BAD_INPUT, "the version is neither HTTP/1.1 nor HTTP/1.0");
    if (out->method == METHOD_OTHER)
        return err_set(e, ERR_NOT_IMPLEMENTED, "no such method here");
    if (!strcmp(h->path, "*"))
        return err_set(e, ERR_BAD_METHOD, "the whole server has no options");
    if (h->path[0] != '/')
        return err_set(e, ERR_NOT_FOUND, "the target is not a path");
    if (!is_url_text(h->path, strlen(h->path), false))
        return err_set(e, ERR_BAD_INPUT, "the path has characters or percent signs that paths cannot have");
    for (size_t i = 0; i < h->n_query; i++)
        if (!is_url_text(h->query[i].name, h->query[i].name_len, true) ||
            !is_url_text(h->query[i].value ? h->query[i].value : "", h->query[i].value_len, true))
            return err_set(e, ERR_BAD_INPUT, "the query has characters or percent signs that queries cannot have");
    return true;
}

static bool read_length(const char *text, int64_t *out, struct err *e)
{
    int64_t value = 0;
    if (!*text || strspn(text, "0123456789") != strlen(text))
        return err_set(e, ERR_BAD_INPUT, "content-length is not a number");
    for (; *text; text++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value))
            return err_set(e, ERR_TOO_LARGE, "content-length is beyond all limits");
    *out = value;
    return true;
}

/* How long the body is must be said in one way only. */
static bool check_framing(const struct head *h, struct head_facts *out, struct err *e)
{
    if (out->coding) {
        if (strcasecmp(out->coding, "chunked") != 0)
            return err_set(e, ERR_NOT_IMPLEMENTED, "the only transfer-encoding here is chunked");
        if (out->length_text)
            return err_set(e, ERR_BAD_INPUT, "content-length and transfer-encoding exclude each other");
        if (!strcmp(h->version, "HTTP/1.0"))
            return err_set(e, ERR_BAD_INPUT, "HTTP/1.0 has no transfer-encoding");
        out->chunked = true;
    }
    out->content_length = -1;
    return !out->length_text || read_length(out->length_text, &out->content_length, e);
}

static bool check_meaning(const struct head *h, struct head_facts *out, struct err *e)
{
    if (!out->host && strcmp(h->version, "HTTP/1.0") != 0)
        return err_set(e, ERR_BAD_INPUT, "header host is missing");
    if (out->expect && strcasecmp(out->expect, "100-continue") != 0)
        return err_set(e, ERR_EXPECTATION, "the only expectation that can be met is 100-continue");
    out->expects_continue = out->expect != NULL;
    if (out->content_encoding && strcasecmp(out->content_encoding, "identity") != 0)
        return err_set(e, ERR_MEDIA_TYPE, "bodies with a content-encoding are not taken");
    return true;
}

bool guard_check(const struct head *h, struct head_facts *out, struct err *e)
{
    *out = (struct head_facts){.content_length = -1};
    for (size_t i = 0; i < h->n_fields; i++)
        if (!take_field(&h->fields[i], out, e))
            return false;
    return check_framing(h, out, e) && check_line(h, out, e) && check_meaning(h, out, e);
}
