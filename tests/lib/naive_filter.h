/* naive_filter.h - a filter asked of one image by walking through its JSON: slow, short and by itself. */
#ifndef ANCHORD_TESTS_LIB_NAIVE_FILTER_H
#define ANCHORD_TESTS_LIB_NAIVE_FILTER_H

#include "base/json.h"

struct naive_image {
    const char *id, *label, *metadata; /* label and metadata NULL: none */
    const char *media_type, *sha256;
    int64_t width, height, bytes, created_at, updated_at;
};

/* `filter` must be one that filter_parse() takes. */
bool naive_keeps(const struct json *filter, const struct naive_image *image);

#endif
