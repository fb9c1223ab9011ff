/* multipart.c - cutting a multipart/form-data body into its parts without copying them. */
#include "api/requests/multipart.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "base/percent.h"

enum { BOUNDARY_MAX = 70, HEADERS_MAX = 8192 };

struct cursor { /* what is left of the text that is read */
    const char *at, *end;
};

struct parser {
    struct cursor in;
    char delimiter[4 + BOUNDARY_MAX + 1]; /* CRLF, two hyphens, the boundary */
    size_t delimiter_len;
    struct arena *arena;
    struct err *e;
};

static bool bad(struct err *e, const char *what)
{
    return err_set(e, ERR_BAD_INPUT, "the multipart body %s", what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && is_blank(*c->at))
        c->at++;
}

static bool starts_with(const struct cursor *c, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(c->end - c->at) >= len && memcmp(c->at, text, len) == 0;
}

static bool is_escape(const char *at, const char *end)
{
    return *at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\');
}

/* A token of RFC 9110, or a quoted string, as it stands.  Only \" and \\ are escapes: browsers send file names
 * with lone backslashes. */
static bool read_value(struct cursor *c, struct cursor *value)
{
    value->at = c->at;
    if (c->at < c->end && *c->at == '"') {
        for (c->at++; c->at < c->end && *c->at != '"'; c->at++)
            c->at += is_escape(c->at, c->end) ? 1 : 0;
        if (c->at == c->end)
            return false;
        c->at++;
    } else {
        while (c->at < c->end && !is_blank(*c->at) && *c->at != ';' && *c->at != '"')
            c->at++;
    }
    value->end = c->at;
    return value->end > value->at;
}

/* What a value means, in the arena: without its quotes, its escapes resolved. */
static char *unquote(struct cursor value, struct arena *a)
{
    char *out = arena_new(a, (size_t)(value.end - value.at) + 1, 1), *p = out;
    if (*value.at == '"') {
        value.at++;
        value.end--;
    }
    for (; value.at < value.end; value.at++) {
        value.at += is_escape(value.at, value.end) ? 1 : 0;
        *p++ = *value.at;
    }
    return out;
}

/* Reads "; name=value" at the cursor: 1 when there was one, 0 at the end, -1 when it is malformed. */
static int read_param(struct cursor *c, struct cursor *name, struct cursor *value)
{
    skip_blanks(c);
    if (c->at == c->end)
        return 0;
    if (*c->at++ != ';')
        return -1;
    skip_blanks(c);
    name->at = c->at;
    while (c->at < c->end && *c->at != '=' && *c->at != ';' && !is_blank(*c->at))
        c->at++;
    name->end = c->at;
    if (name->at == name->end)
        return c->at == c->end ? 0 : -1; /* a semicolon may stand at the end */
    if (c->at == c->end || *c->at++ != '=')
        return -1;
    return read_value(c, value) ? 1 : -1;
}

static bool is_called(const struct cursor *name, const char *wanted)
{
    size_t len = strlen(wanted);
    return (size_t)(name->end - name->at) == len && strncasecmp(name->at, wanted, len) == 0;
}

/* ---- the boundary ---- */

static bool is_boundary(const char *s)
{
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ";
    size_t len = strlen(s);
    return len > 0 && len <= BOUNDARY_MAX && strspn(s, allowed) == len && s[len - 1] != ' ';
}

static bool read_boundary(struct parser *p, const char *content_type)
{
    const char *boundary = NULL;
    struct cursor c = {content_type + strcspn(content_type, ";"), content_type + strlen(content_type)}, name, value;
    int got;
    while ((got = read_param(&c, &name, &value)) > 0) {
        if (!is_called(&name, "boundary"))
            continue;
        if (boundary)
            return bad(p->e, "names two boundaries in its content type");
        boundary = unquote(value, p->arena);
    }
    if (got < 0 || !boundary || !is_boundary(boundary))
        return bad(p->e, "names no valid boundary in its content type");
    p->delimiter_len = strlen(boundary) + 4;
    memcpy(p->delimiter, "\r\n--", 4);
    memcpy(p->delimiter + 4, boundary, p->delimiter_len - 4);
    return true;
}

/* After a delimiter: 1 when a part follows (the cursor is at its headers), 0 when it was the closing one,
 * -1 when it was no delimiter after all. */
static int after_delimiter(struct cursor *c)
{
    if (starts_with(c, "--")) {
        c->at += 2;
        skip_blanks(c);
        return c->at == c->end || starts_with(c, "\r\n") ? 0 : -1;
    }
    skip_blanks(c);
    if (!starts_with(c, "\r\n"))
        return -1;
    c->at += 2;
    return 1;
}

/* Moves the cursor behind the next delimiter; *data is what lay before it.  As after_delimiter(), and -1 when
 * there is none. */
static int next_delimiter(struct parser *p, struct cursor *data)
{
    data->at = p->in.at;
    const char *from = p->in.at, *found;
    while ((found = memmem(from, (size_t)(p->in.end - from), p->delimiter, p->delimiter_len))) {
        struct cursor c = {found + p->delimiter_len, p->in.end};
        int kind = after_delimiter(&c);
        if (kind >= 0) {
            data->end = found;
            p->in = c;
            return kind;
        }
        from = found + 2; /* what follows may begin with this delimiter's end */
    }
    return -1;
}

static int first_delimiter(struct parser *p)
{
    struct cursor preamble, c = p->in;
    size_t len = p->delimiter_len - 2;
    if ((size_t)(c.end - c.at) >= len && memcmp(c.at, p->delimiter + 2, len) == 0) {
        c.at += len;
        int kind = after_delimiter(&c);
        if (kind >= 0) {
            p->in = c;
            return kind;
        }
    }
    return next_delimiter(p, &preamble);
}

/* ---- the headers of a part ---- */

/* Browsers and curl write a quote in a name as %22, and a percent sign as it is. */
static void resolve_quotes(char *name)
{
    char *out = name;
    for (const char *p = name; *p; p++) {
        bool quote = strncmp(p, "%22", 3) == 0;
        *out++ = quote ? '"' : *p;
        p += quote ? 2 : 0;
    }
    *out = 0;
}

/* filename*=UTF-8'en'caf%C3%A9.jpg (RFC 8187).  RFC 7578 knows no such name, but clients send it. */
static bool read_extended(struct parser *p, struct cursor value, const char **out)
{
    static const char charset[] = "utf-8'";
    size_t len = (size_t)(value.end - value.at);
    if (*out)
        return bad(p->e, "has a part with two names");
    const char *language_end = len < sizeof charset || strncasecmp(value.at, charset, sizeof charset - 1) != 0
                                   ? NULL
                                   : memchr(value.at + sizeof charset - 1, '\'', len - (sizeof charset - 1));
    if (!language_end)
        return bad(p->e, "has a part whose filename* is not of the form UTF-8''name");
    char *name = arena_new(p->arena, len + 1, 1);
    *out = name;
    return percent_decode(language_end + 1, (size_t)(value.end - language_end - 1), name) ||
           bad(p->e, "has a part whose filename* has a percent sign without two digits behind it");
}

static bool read_disposition(struct parser *p, struct cursor c, struct part *part)
{
    struct cursor type = {c.at, c.at + min_size((size_t)(c.end - c.at), 9)}, name, value;
    const char *extended = NULL;
    int got;
    if (part->name)
        return bad(p->e, "has a part with two Content-Disposition headers");
    if (!is_called(&type, "form-data"))
        return bad(p->e, "has a part that is not form-data");
    c.at = type.end;
    while ((got = read_param(&c, &name, &value)) > 0) {
        const char **field = is_called(&name, "name")       ? &part->name
                             : is_called(&name, "filename") ? &part->filename
                                                            : NULL;
        if (is_called(&name, "filename*") && !read_extended(p, value, &extended))
            return false;
        if (!field)
            continue;
        if (*field)
            return bad(p->e, "has a part with two names");
        char *text = unquote(value, p->arena);
        if (*value.at == '"')
            resolve_quotes(text);
        *field = text;
    }
    part->filename = extended ? extended : part->filename; /* RFC 6266, 4.3 */
    return got == 0 || bad(p->e, "has a malformed Content-Disposition header");
}

static bool read_header(struct parser *p, struct cursor line, struct part *part)
{
    struct cursor name = {line.at, memchr(line.at, ':', (size_t)(line.end - line.at))};
    if (!name.end || name.end == name.at || is_blank(line.at[0]) || is_blank(name.end[-1]))
        return bad(p->e, "has a part with a malformed header");
    for (const char *s = line.at; s < line.end; s++)
        if (((unsigned char)*s < 32 && *s != '\t') || *s == 127)
            return bad(p->e, "has a part with a control character in a header");
    struct cursor value = {name.end + 1, line.end};
    skip_blanks(&value);
    while (value.end > value.at && is_blank(value.end[-1]))
        value.end--;
    if (is_called(&name, "content-disposition"))
        return read_disposition(p, value, part);
    if (is_called(&name, "content-transfer-encoding") && !is_called(&value, "binary") && !is_called(&value, "8bit") &&
        !is_called(&value, "7bit"))
        return bad(p->e, "has a part with a transfer encoding (RFC 7578 has none)");
    if (is_called(&name, "content-type")) {
        size_t len = (size_t)(value.end - value.at);
        part->content_type = memcpy(arena_new(p->arena, len + 1, 1), value.at, len);
    }
    return true;
}

/* Reads the header lines up to the empty one, at whose end the cursor then is. */
static bool read_headers(struct parser *p, struct part *part)
{
    const char *limit = p->in.at + min_size((size_t)(p->in.end - p->in.at), HEADERS_MAX);
    for (;;) {
        const char *eol = memmem(p->in.at, (size_t)(limit - p->in.at), "\r\n", 2);
        if (!eol)
            return bad(p->e, "has a part whose headers do not end");
        struct cursor line = {p->in.at, eol};
        p->in.at = eol + 2;
        if (line.at == line.end)
            return part->name || bad(p->e, "has a part without a name");
        if (!read_header(p, line, part))
            return false;
    }
}

/* ---- the whole ---- */

static struct part *one_more(struct arena *a, struct part **parts, size_t n, size_t *room)
{
    if (n == *room) {
        struct part *larger = arena_new(a, *room * 2 + 8, sizeof *larger);
        if (n)
            memcpy(larger, *parts, n * sizeof *larger);
        *parts = larger;
        *room = *room * 2 + 8;
    }
    return &(*parts)[n];
}

bool multipart_parse(const char *content_type, const void *body, size_t len, size_t max_parts, struct arena *a,
                     struct part **parts, size_t *n, struct err *e)
{
    struct parser p = {.in = {body, (const char *)body + len}, .arena = a, .e = e};
    size_t room = 0;
    *n = 0;
    *parts = NULL;
    if (!read_boundary(&p, content_type))
        return false;
    int kind = first_delimiter(&p);
    while (kind == 1) {
        struct cursor data;
        if (*n == max_parts)
            return err_set(e, ERR_TOO_LARGE, "the multipart body has more than %zu parts", max_parts);
        struct part *part = one_more(a, parts, *n, &room);
        if (!read_headers(&p, part))
            return false;
        p.in.at -= 2; /* the empty line's end may begin the next delimiter: a part may be empty */
        kind = next_delimiter(&p, &data);
        if (kind < 0)
            break;
        data.at += 2;
        part->data = data.at;
        part->len = data.end > data.at ? (size_t)(data.end - data.at) : 0;
        ++*n;
    }
    return kind == 0 || bad(e, "does not end with its boundary");
}
