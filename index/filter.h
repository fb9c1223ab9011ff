/* filter.h - which images a request means: conditions over label and metadata.
 *
 * The shape is Qdrant's: {"must": [...], "should": [...], "must_not": [...]} over
 * {"key", "match": {"value" | "any"}} and {"key", "range": {"gt", "gte", "lt", "lte"}}, nested filters
 * allowed; "label" is a key too, "a.b" reaches into nested metadata, a list matches when one of its
 * elements does.  All of must, at least one of should (when there is any), none of must_not.
 *
 * Texts match texts, numbers numbers (1 and 1.0 are the same) and booleans booleans; a range is over numbers.
 */
#ifndef ANCHORD_INDEX_FILTER_H
#define ANCHORD_INDEX_FILTER_H

#include "base/json.h"
#include "index/catalog/sql.h"

struct filter; /* immutable; not tied to a collection */

enum { FILTER_CONDITIONS_MAX = 64, FILTER_DEPTH_MAX = 4, FILTER_VALUES_MAX = 256, FILTER_TEXT_MAX = 1024 };

/* `where` is the filter's own path in the request, such as "filter".  NULL with ERR_BAD_INPUT and the field's
 * path in param ("filter.must[1].range").  Copies what it needs of `v`. */
struct filter *filter_parse(const struct json *v, const char *where, struct err *e);
void filter_free(struct filter *f); /* NULL is fine */

/* Appends to `where` the filter as one SQL condition over the row of `image` at hand: its columns number and
 * label, and `number IN (SELECT image FROM attribute WHERE collection = ?1 AND key = ?n AND ...)`.  ?1 is the
 * collection's number and not ours; the condition's own parameters are ?2, ?3, ... and are appended to
 * `values`, one struct sql_value each, borrowed from the filter. */
void filter_sql(const struct filter *f, struct buf *where, struct buf *values);

#endif
