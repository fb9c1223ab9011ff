/* picture.c - pictures as JSON bodies carry them. */
#include "api/requests/picture.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/requests/fields.h"
#include "base/base64.h"
#include "base/num.h"

enum { DATA_URL_HEAD_MAX = 1024 };

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool begins(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && strncasecmp(text, with, n) == 0;
}

/* Moves *text behind the comma of a data URL.  Its media type may be anything or absent: the content says what it is. */
static bool skip_head(struct call *c, const char **text, size_t *len, const char *param)
{
    const char *comma = memchr(*text, ',', min_size(*len, DATA_URL_HEAD_MAX)), *end = comma;
    if (!comma)
        return err_field(&c->err, param, "a data URL has a comma before its data");
    while (is_blank(end[-1])) /* ends at "data:" */
        end--;
    if (end - *text < 12 || strncasecmp(end - 7, ";base64", 7) != 0)
        return err_field(&c->err, param, "a data URL must be base64, as in data:image/jpeg;base64,...");
    *len -= (size_t)(comma + 1 - *text);
    *text = comma + 1;
    return true;
}

static bool read_text(struct call *c, const char *text, size_t len, const char *param, struct upload_picture *out)
{
    for (; len > 0 && is_blank(*text); text++)
        len--;
    if (begins(text, len, "http:") || begins(text, len, "https:"))
        return err_field(&c->err, param, "pictures are not fetched: send the bytes as base64");
    bool data_url = begins(text, len, "data:");
    if (data_url && !skip_head(c, &text, &len, param))
        return false;
    if (len == 0)
        return err_field(&c->err, param, "is empty");
    *out = (struct upload_picture){.bytes = text, .len = len, .base64 = true, .data_url = data_url};
    return true;
}

bool read_picture(struct call *c, const struct json *v, const char *param, struct upload_picture *out)
{
    static const char *const known[] = {"image"};
    size_t len;
    char inside[64];
    if (json_kind(v) == JSON_KIND_OBJECT) {
        snprintf(inside, sizeof inside, "%.50s.", param);
        if (!json_only(v, inside, known, COUNT(known), &c->err))
            return false;
        v = json_member(v, "image");
    }
    const char *text = json_as_text(v, &len);
    return text ? read_text(c, text, len, param, out)
                : err_field(&c->err, param, "must be base64 text, a data URL or {\"image\": either}");
}

bool picture_decode(struct upload_picture *p, void **decoded, struct err *e)
{
    size_t len;
    if (!p->base64)
        return true;
    if (!base64_decode(p->bytes, p->len, decoded, &len, e))
        return false;
    *p = (struct upload_picture){.bytes = *decoded, .len = len};
    return true;
}

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("+/-_=%\r\n\t", c);
}

/* Words: other signs, or a blank, among the first that are no white space, or too few for the smallest picture. */
static bool is_prose(const char *text, size_t len)
{
    enum { LOOK_AT = 64, PICTURE_MIN = 32 };
    size_t i = 0;
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    while (i < len && i < LOOK_AT && is_base64(text[i]))
        i++;
    return len < PICTURE_MIN || (i < len && i < LOOK_AT);
}

void picture_explain(const struct upload_picture *sent, struct err *e)
{
    if (!sent->base64 || sent->data_url || (e->code != ERR_BAD_INPUT && e->code != ERR_MEDIA_TYPE) ||
        !is_prose(sent->bytes, sent->len))
        return;
    *e = (struct err){0};
    err_set(e, ERR_BAD_INPUT, "this is text; the model embeds pictures: send base64 or a data URL");
}

bool fail_picture(struct call *c, const struct err *why, const char *where, const char *param)
{
    c->err = *why;
    snprintf(c->err.param, sizeof c->err.param, "%s%s", where, param);
    if (c->err.code == ERR_MEDIA_TYPE && c->err.param[0])
        c->err.code = ERR_UNDECODABLE;
    return false;
}
