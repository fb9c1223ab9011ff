/* catalog_parts.h - what catalog*.c share: the session behind catalog.h. */
#ifndef ANCHORD_INDEX_CATALOG_CATALOG_PARTS_H
#define ANCHORD_INDEX_CATALOG_CATALOG_PARTS_H

#include "index/catalog/catalog.h"
#include "index/catalog/selection.h"
#include "index/catalog/sql.h"
#include "index/values/filter_tree.h"

struct session {
    struct sql *q;
    struct session *next; /* in the catalogue's list of free readers */
};

#define IMAGE_COLUMNS                                                                                                  \
    "number, id, revision, sha256, media_type, width, height, bytes, created_at, updated_at, label, metadata"
/* Fills *out from a row that begins with IMAGE_COLUMNS. */
void catalog_read_image(struct query *r, struct image_row *out);

/* The images of a collection that a filter keeps, as of one moment.  NULL on failure; one that has to stop (work_limit.h) is
 * told as a fault of the field "filter". */
struct selection *catalog_select(struct session *s, int64_t collection, const struct filter *f, struct err *e);

/* A value of a filter or of the metadata, as the table of attributes has it; borrowed from the scalar. */
static inline struct sql_value scalar_sql(const struct scalar *s)
{
    if (s->is_huge)
        return sql_blob(s->code, sizeof s->code);
    return s->kind == SCALAR_TEXT ? sql_text(s->text) : s->is_real ? sql_real(s->real) : sql_int(s->i);
}

struct vector_place {
    int64_t generation, image;
};
/* Judges a value that was read by the checksum in `column`. */
enum vector_state vector_state(struct query *r, int column, struct vector_place p, const void *value, size_t len);
/* Adds or replaces, with its checksum.  `value` NULL: this revision cannot be embedded. */
MUST_CHECK bool catalog_vector_put(struct session *s, struct vector_place p, int64_t revision, const float *value,
                                   uint32_t dimensions, struct err *e);

#endif
