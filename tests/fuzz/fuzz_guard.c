/* fuzz_guard.c - request heads of any kind: what passes the guard can be read in one way only.
 *
 * An input is "METHOD PATH VERSION", then a line for each header ("name: value") or query parameter
 * ("?name=value"), lines ended by LF.
 */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "server/http/http_guard.h"
#include "tests/fuzz/fuzz.h"

enum { FIELDS_MAX = 256 };

struct parsed {
    struct arena arena;
    struct head head;
    struct head_field fields[FIELDS_MAX], query[FIELDS_MAX];
};

static char *text(struct parsed *p, const char *s, size_t len)
{
    char *copy = arena_new(&p->arena, len + 1, 1);
    if (len)
        memcpy(copy, s, len);
    return copy;
}

static void parse_field(struct parsed *p, const char *line, size_t len)
{
    bool query = len > 0 && *line == '?';
    struct head_field *list = query ? p->query : p->fields;
    size_t *n = query ? &p->head.n_query : &p->head.n_fields;
    line += query;
    len -= query;
    const char *mark = len ? memchr(line, query ? '=' : ':', len) : NULL;
    size_t name = mark ? (size_t)(mark - line) : len;
    if (*n == FIELDS_MAX)
        return;
    struct head_field *f = &list[(*n)++];
    *f = (struct head_field){.name = text(p, line, name), .name_len = name};
    if (!mark && query)
        return; /* a parameter without '=' has no value */
    size_t skip = mark ? name + 1 : len;
    skip += !query && skip < len && line[skip] == ' ';
    f->value = text(p, line + skip, len - skip);
    f->value_len = len - skip;
}

/* The words of the first line are strings as libmicrohttpd gives them: they end at the first NUL. */
static void parse_line(struct parsed *p, const char *line, size_t len)
{
    char *words[3], *all = text(p, line, len);
    for (size_t i = 0; i < 3; i++) {
        words[i] = all;
        all += strcspn(all, " ");
        if (*all && i < 2)
            *all++ = 0;
    }
    p->head.method = words[0];
    p->head.path = words[1];
    p->head.version = words[2];
}

static void parse(struct parsed *p, const char *data, size_t size)
{
    for (size_t at = 0, lines = 0; at < size || lines == 0; lines++) {
        const char *end = size - at ? memchr(data + at, '\n', size - at) : NULL;
        size_t len = end ? (size_t)(end - data) - at : size - at;
        if (lines == 0)
            parse_line(p, data + at, len);
        else
            parse_field(p, data + at, len);
        at += len + 1;
    }
    p->head.fields = p->fields;
    p->head.query = p->query;
}

static size_t count(const struct head *h, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_fields; i++)
        n += !strcasecmp(h->fields[i].name, name);
    return n;
}

static void check_passed(const struct head *h, const struct head_facts *f)
{
    size_t lengths = count(h, "content-length"), codings = count(h, "transfer-encoding");
    FUZZ_CHECK(lengths + codings <= 1);
    FUZZ_CHECK(count(h, "host") <= 1 && count(h, "authorization") <= 1);
    FUZZ_CHECK((f->content_length >= 0) == (lengths == 1) && f->chunked == (codings == 1));
    FUZZ_CHECK(f->method != METHOD_OTHER && h->path[0] == '/' && !strstr(h->path, "%00"));
    for (size_t i = 0; i < h->n_fields; i++) {
        FUZZ_CHECK(strlen(h->fields[i].name) == h->fields[i].name_len && !strpbrk(h->fields[i].name, " \t:\r\n"));
        FUZZ_CHECK(strlen(h->fields[i].value) == h->fields[i].value_len && !strpbrk(h->fields[i].value, "\r\n"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parsed p = {0};
    struct head_facts facts;
    struct err e = {0};
    parse(&p, (const char *)data, size);
    if (guard_check(&p.head, &facts, &e))
        check_passed(&p.head, &facts);
    else
        FUZZ_CHECK(e.code != ERR_NONE && e.code != ERR_INTERNAL);
    arena_clear(&p.arena);
    return 0;
}
