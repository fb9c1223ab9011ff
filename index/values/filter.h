/* filter.h - which images a request means: conditions over label, metadata and what is known of each image.
 *
 * The shape is Qdrant's: {"must", "should", "must_not", "min_should": {"conditions", "min_count"}} over
 *
 *     {"key", "match": {"value" | "any" | "except"}}
 *     {"key", "range": {"gt", "gte", "lt", "lte"}}         numbers, or dates (RFC 3339)
 *     {"key", "values_count": {"gt", "gte", "lt", "lte"}}
 *     {"is_empty": {"key"}}, {"is_null": {"key"}}          there is no value: absent, null or an empty list
 *     {"has_id": [...]}
 *
 * and nested filters.  All of must, at least one of should (when there is any), none of must_not; a clause may be
 * one condition instead of a list.
 *
 * Keys of the image are label, id, width, height, bytes, media_type, sha256, created_at and updated_at.  All others are
 * of its metadata.  "a.b" reaches into nested objects, a list matches when one of its elements does, and "a[].b" is the
 * same as "a.b".  "metadata.KEY" is the metadata's KEY as it is written, whatever it is called.
 *
 * Texts match texts, numbers numbers (1 and 1.0 are the same) and booleans booleans.
 */
#ifndef ANCHORD_INDEX_FILTER_H
#define ANCHORD_INDEX_FILTER_H

#include "base/json.h"

struct filter; /* immutable; not tied to a collection */

enum { FILTER_CONDITIONS_MAX = 64, FILTER_DEPTH_MAX = 4, FILTER_VALUES_MAX = 256, FILTER_TEXT_MAX = 1024 };

/* `where` is the filter's own path in the request, such as "filter".  NULL with ERR_BAD_INPUT and the field's
 * path in param ("filter.must[1].range").  Copies what it needs of `v`. */
struct filter *filter_parse(const struct json *v, const char *where, struct err *e);
void filter_free(struct filter *f); /* NULL is fine */

/* It keeps every image, whatever is stored: nothing in it restricts anything. */
bool filter_keeps_all(const struct filter *f);

/* The name that the catalogue has for a key of the metadata, for others that take keys; within `text`, which changes.
 * NULL: it is a key of the image, or asks for a place in a list. */
const char *filter_metadata_key(char *text);

#endif
