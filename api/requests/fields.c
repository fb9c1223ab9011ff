/* fields.c - reading path, query, headers and the fields that several routes share. */
#include "api/requests/fields.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "base/percent.h"
#include "base/utf8.h"

/* Of metadata as text; what counts in the end is its compact form. */
enum { METADATA_TEXT_MAX = 16 * METADATA_MAX };

/* ---- path and query ---- */

bool path_params(struct call *c, const struct route_match *m)
{
    for (size_t i = 0; i < ROUTE_PARAMS && m->params[i].start; i++) {
        char name[32], *text = call_new(c, m->params[i].len + 1, 1);
        route_param_name(c->route, i, name, sizeof name);
        if (!percent_decode(m->params[i].start, m->params[i].len, text))
            return err_field(&c->err, name, "a percent sign needs two hexadecimal digits behind it, not both zero");
        bool is_image = strcmp(name, "id") == 0;
        if (!(is_image ? check_image_id(c, text, name) : check_id(c, text, name)))
            return false;
        c->params[i] = text;
    }
    return true;
}

bool is_listed(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = list; len && (p = strstr(p, name)); p++)
        if ((p == list || p[-1] == ' ') && (p[len] == ' ' || p[len] == 0))
            return true;
    return false;
}

static const char *find_pair(const struct pair *pairs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return pairs[i].value;
    return NULL;
}

const char *query_text(const struct call *c, const char *name)
{
    const char *value = find_pair(c->request->query, c->request->n_query, name);
    return value ? value : find_pair(c->form, c->n_form, name);
}

static bool check_pair(struct call *c, const struct pair *p)
{
    char param[64];
    snprintf(param, sizeof param, "%.60s", p->name);
    if (!is_listed(c->route->query, p->name))
        return err_field(&c->err, param, "there is no parameter \"%s\"", param);
    return query_text(c, p->name) == p->value || err_field(&c->err, param, "is given twice");
}

bool query_check(struct call *c)
{
    for (size_t i = 0; i < c->request->n_query; i++)
        if (!check_pair(c, &c->request->query[i]))
            return false;
    return true;
}

bool query_int(struct call *c, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const char *text = query_text(c, name);
    char *end;
    if (!text)
        return true;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || errno || strspn(text, "-0123456789") != strlen(text))
        return err_field(&c->err, name, "must be a whole number");
    if (n < min || n > max)
        return err_field(&c->err, name, "must be from %lld to %lld", (long long)min, (long long)max);
    *out = n;
    return true;
}

bool query_real(struct call *c, const char *name, double *out)
{
    const char *text = query_text(c, name);
    char *end;
    if (!text)
        return true;
    double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x) || strspn(text, "+-.0123456789eE") != strlen(text))
        return err_field(&c->err, name, "must be a number");
    *out = x;
    return true;
}

bool query_bool(struct call *c, const char *name, bool *out)
{
    const char *text = query_text(c, name);
    if (!text)
        return true;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return err_field(&c->err, name, "must be true or false");
    *out = text[0] == 't';
    return true;
}

/* The call's; NULL with the field's name when it is no JSON. */
static struct json *read_json(struct call *c, const char *text, const char *param)
{
    struct json *v = call_own_json(c, json_parse(text, strlen(text), 0, &c->err));
    if (!v && c->err.code == ERR_BAD_INPUT)
        snprintf(c->err.param, sizeof c->err.param, "%s", param);
    return v;
}

bool query_filter(struct call *c, struct filter **out)
{
    const char *text = query_text(c, "filter");
    const struct json *v = text ? read_json(c, text, "filter") : NULL;
    if (!v)
        return !c->err.code;
    *out = call_own_filter(c, filter_parse(v, "filter", &c->err));
    return *out != NULL;
}

bool accepts(const struct call *c, const char *type)
{
    const char *at = c->request->accept;
    size_t len = strlen(type);
    while (at && *at) {
        at += strspn(at, " \t,");
        if (strncasecmp(at, type, len) == 0 && strchr(" \t;,", at[len])) /* the zero byte too */
            return true;
        at += strcspn(at, ",");
    }
    return false;
}

/* ---- the body ---- */

static bool is_type(const char *content_type, const char *wanted)
{
    size_t len = strlen(wanted);
    if (strncasecmp(content_type, wanted, len) != 0)
        return false;
    char after = content_type[len];
    return wanted[len - 1] == '/' || after == 0 || after == ';' || after == ' ' || after == '\t';
}

/* A picture is told by its bytes, whatever the header says: curl calls everything a form, S3 "binary/octet-stream",
 * httpie JSON.  Nothing else is: which pages may send such a body decides their Origin and not its type. */
unsigned content_of(const struct call *c)
{
    const struct request *r = c->request;
    const char *type = r->content_type;
    unsigned kind = 0;
    if ((c->route->takes & TAKES_IMAGE) && image_sniff(r->body, r->body_len) != IMAGE_UNKNOWN)
        return TAKES_IMAGE;
    if (!type || is_type(type, "application/octet-stream") || is_type(type, "binary/octet-stream"))
        kind = TAKES_IMAGE | TAKES_BYTES;
    else if (is_type(type, "image/"))
        kind = TAKES_IMAGE;
    else if (is_type(type, "multipart/form-data"))
        kind = TAKES_MULTIPART;
    else if (is_type(type, "application/json") || is_type(type, "application/merge-patch+json"))
        kind = TAKES_JSON;
    return kind & c->route->takes;
}

bool is_curls_form(const struct call *c)
{
    return c->request->content_type && is_type(c->request->content_type, "application/x-www-form-urlencoded");
}

const char *content_wanted(const struct route *r)
{
    switch (r->takes & ~(unsigned)TAKES_NOTHING) {
    case TAKES_JSON: return "application/json";
    case TAKES_IMAGE: return "image/*";
    case TAKES_BYTES: return "application/octet-stream";
    case TAKES_IMAGE | TAKES_MULTIPART: return "image/* or multipart/form-data";
    case TAKES_IMAGE | TAKES_JSON: return "image/* or application/json";
    case TAKES_MULTIPART | TAKES_JSON: return "multipart/form-data or application/json";
    default: return "image/*, multipart/form-data or application/json";
    }
}

/* ---- fields that several routes share ---- */

bool check_id(struct call *c, const char *id, const char *param)
{
    return id_is_valid(id) || err_field(&c->err, param,
                                        "must be 1 to %d of A-Z a-z 0-9 . _ - and not begin with a dot, for it names "
                                        "files (an image's id is freer)",
                                        ID_MAX);
}

bool check_image_id(struct call *c, const char *id, const char *param)
{
    size_t n = strlen(id);
    if (n == 0 || n > IMAGE_ID_MAX)
        return err_field(&c->err, param, "is %zu bytes long; an image's id has 1 to %d", n, IMAGE_ID_MAX);
    return image_id_is_valid(id) || err_field(&c->err, param, "must be UTF-8 without control characters");
}

bool read_label(struct call *c, const char *text, const char *param, const char **out)
{
    *out = text;
    if (!text)
        return true;
    if (strlen(text) > LABEL_MAX)
        return err_field(&c->err, param, "is %zu bytes long, the limit is %d", strlen(text), LABEL_MAX);
    return utf8_is_valid(text) || err_field(&c->err, param, "is not valid UTF-8");
}

bool compact_metadata(struct call *c, const struct json *v, const char *param, const char **out)
{
    *out = NULL;
    if (!v || json_kind(v) == JSON_KIND_NULL)
        return true;
    if (json_kind(v) != JSON_KIND_OBJECT)
        return err_field(&c->err, param, "must be a JSON object");
    if (json_count(v) == 0)
        return true;
    struct buf b = {0};
    json_dump(v, &b);
    if (b.len <= METADATA_MAX)
        *out = arena_text(&c->arena, b.data);
    else
        err_field(&c->err, param, "has %zu bytes as compact JSON, the limit is %d", b.len, METADATA_MAX);
    buf_clear(&b);
    return *out != NULL;
}

bool read_metadata_text(struct call *c, const char *text, const char *param, const char **out)
{
    *out = NULL;
    if (!text || !text[0])
        return true;
    if (strlen(text) > METADATA_TEXT_MAX)
        return err_field(&c->err, param, "is %zu bytes long, the limit is %d", strlen(text), METADATA_TEXT_MAX);
    struct json *v = read_json(c, text, param);
    return v && compact_metadata(c, v, param, out);
}

/* An entity tag of ours, strong: "<64 hex digits>-<revision>" in quotes.  False for any other. */
static bool parse_etag(struct call *c, const char *tag, struct precondition *out)
{
    char *end;
    size_t len = strlen(tag);
    if (len < HASH_HEX + 3 || tag[0] != '"' || tag[len - 1] != '"' || tag[HASH_HEX] != '-' || tag[HASH_HEX + 1] == '-')
        return false;
    char *hash = arena_text(&c->arena, tag + 1);
    hash[HASH_HEX - 1] = 0;
    errno = 0;
    out->match_revision = strtoll(tag + HASH_HEX + 1, &end, 10);
    out->match_sha256 = hash;
    return end == tag + len - 1 && errno == 0 && out->match_revision > 0;
}

bool read_precondition(struct call *c, struct precondition *out)
{
    const char *match = c->request->if_match, *none = c->request->if_none_match;
    *out = (struct precondition){0};
    if (none && strcmp(none, "*") != 0)
        return err_field(&c->err, "if-none-match", "a write understands * only");
    out->must_be_new = none != NULL;
    if (!match)
        return true;
    if (strcmp(match, "*") == 0)
        return out->must_exist = true;
    if (strchr(match, ','))
        return err_field(&c->err, "if-match", "one entity tag or * is understood");
    return parse_etag(c, match, out) || err_set(&c->err, ERR_PRECONDITION, "no image has this entity tag");
}

bool read_ids(struct call *c, const struct json *list, const char *param, const char *const **ids, size_t *n)
{
    *n = json_count(list);
    const char **all = call_new(c, *n, sizeof *all);
    for (size_t i = 0; i < *n; i++) {
        char at[64];
        snprintf(at, sizeof at, "%s[%zu]", param, i);
        all[i] = json_as_text(json_item(list, i), NULL);
        if (!all[i])
            return err_field(&c->err, at, "must be a string");
        if (!check_image_id(c, all[i], at))
            return false;
    }
    *ids = all;
    return true;
}

bool read_pin(struct call *c, int64_t *out)
{
    const char *text = c->request->pin;
    char *end;
    *out = 0;
    if (!text)
        return true;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || *out <= 0)
        return err_field(&c->err, "anchord-generation", "must be the number of a generation");
    return true;
}

const char *etag_of(struct call *c, const struct image_row *row)
{
    return arena_print(&c->arena, "\"%s-%lld\"", row->sha256, (long long)row->revision);
}

bool etag_is_known(const struct call *c, const char *etag)
{
    const char *known = c->request->if_none_match;
    return known && (strcmp(known, "*") == 0 || strstr(known, etag)); /* a weak tag counts here, RFC 9110 13.1.2 */
}
