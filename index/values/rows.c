/* rows.c - see rows.h. */
#include "index/values/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

bool id_is_valid(const char *id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = id ? strnlen(id, ID_MAX + 1) : 0;
    return n > 0 && n <= ID_MAX && id[0] != '.' && strspn(id, allowed) == n;
}

bool image_id_is_valid(const char *id)
{
    size_t n = id ? strnlen(id, IMAGE_ID_MAX + 1) : 0;
    return n > 0 && n <= IMAGE_ID_MAX && utf8_is_printable(id);
}

const char *generation_state_name(enum generation_state state)
{
    static const char *const names[] = {[GENERATION_BUILDING] = "building",
                                        [GENERATION_ACTIVE] = "active",
                                        [GENERATION_RETIRED] = "retired",
                                        [GENERATION_FAILED] = "failed",
                                        [GENERATION_DROPPED] = "dropped"};
    return names[state];
}

bool generation_same_encoder(const struct generation_row *a, const struct generation_row *b)
{
    return strcmp(a->fingerprint, b->fingerprint) == 0 && strcmp(a->precision, b->precision) == 0 &&
           a->dimensions == b->dimensions;
}

void pending_free(struct pending *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(items[i].vector);
    free(items);
}

void image_row_clear(struct image_row *row)
{
    free(row->label);
    free(row->metadata);
    *row = (struct image_row){0};
}

void model_row_clear(struct model_row *row)
{
    free(row->lineage);
    *row = (struct model_row){0};
}
