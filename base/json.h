/* json.h - reading JSON with the field's name in every error (jansson underneath; this is its only home).
 *
 *     struct json *doc = json_parse(text, len, 0, e);
 *     static const char *const known[] = {"name", "limit"};
 *     int64_t limit = 10;
 *     if (!doc || !json_only(doc, "", known, COUNT(known), e) ||
 *         !json_get_int(doc, "limit", 1, 1000, &limit, e)) ...
 *     json_free(doc);
 *
 * A getter leaves *out alone when the member is absent or null.  It fails with ERR_BAD_INPUT and `param` when the
 * member has the wrong type or is out of range.  Everything that getters hand out is borrowed from the document.  The
 * parser refuses duplicate keys, trailing text, depth over 128, integers beyond 2^64 - 1 and \u0000 in a text.  A
 * document whose tree would need more than the memory budget is ERR_TOO_LARGE.
 *
 * Writing is json_writer.h.
 */
#ifndef ANCHORD_BASE_JSON_H
#define ANCHORD_BASE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct json; /* a value inside a parsed document; only the one json_parse() gave is freed */

enum json_kind {
    JSON_NONE,
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT,
    JSON_KIND_LARGE,
    JSON_KIND_REAL,
    JSON_KIND_TEXT,
    JSON_KIND_LIST,
    JSON_KIND_OBJECT
};

/* Once, in main, before any thread: seeds the hash and installs the allocator. */
void json_init(void);

/* Parses an object or array.  `budget` bounds the bytes of the tree, as estimated from the text; 0 means 3 x len + 4 MB. */
MUST_CHECK struct json *json_parse(const char *text, size_t len, size_t budget, struct err *e);
void json_free(struct json *doc);

enum json_kind json_kind(const struct json *v);                             /* JSON_NONE for NULL */
const struct json *json_member(const struct json *object, const char *key); /* NULL when absent or null */
size_t json_count(const struct json *list_or_object);
const struct json *json_item(const struct json *list, size_t i);
/* Members in insertion order: for (it = NULL; (it = json_next(obj, it, &key, &value));) */
void *json_next(const struct json *object, void *it, const char **key, const struct json **value);
const char *json_as_text(const struct json *v, size_t *len); /* NULL unless text; len may be NULL */
bool json_as_number(const struct json *v, double *out);      /* int, large or real */
bool json_as_int(const struct json *v, int64_t *out);        /* int only: -2^63 to 2^63 - 1 */
bool json_as_large(const struct json *v, uint64_t *out);     /* large only: 2^63 to 2^64 - 1 */
bool json_as_bool(const struct json *v, bool *out);

/* Every member of `object` must be among `known`; the error names the stranger, prefixed by `where`
 * ("" or "filter."). */
MUST_CHECK bool json_only(const struct json *object, const char *where, const char *const *known, size_t n,
                          struct err *e);
MUST_CHECK bool json_get_text(const struct json *object, const char *key, size_t max_bytes, const char **out,
                              struct err *e);
MUST_CHECK bool json_get_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *out,
                             struct err *e);
MUST_CHECK bool json_get_real(const struct json *object, const char *key, double min, double max, double *out,
                              struct err *e);
MUST_CHECK bool json_get_bool(const struct json *object, const char *key, bool *out, struct err *e);
MUST_CHECK bool json_get_object(const struct json *object, const char *key, const struct json **out, struct err *e);
MUST_CHECK bool json_get_list(const struct json *object, const char *key, const struct json **out, struct err *e);

/* Appends the compact text of any value; keys keep their order. */
void json_dump(const struct json *v, struct buf *out);

/* RFC 7396: the merge of `patch` into the object text `target` (NULL: an empty object), as compact text
 * in out. */
MUST_CHECK bool json_merge_patch(const char *target, const struct json *patch, struct buf *out, struct err *e);

#endif
