/* search_request.h - one search as the request says it: by picture, id, vector or examples, with its settings. */
#ifndef ANCHORD_API_REQUESTS_SEARCH_REQUEST_H
#define ANCHORD_API_REQUESTS_SEARCH_REQUEST_H

#include "api/requests/stage.h"

struct example {       /* a stored image, or a picture that came along */
    const char *param; /* the field it stands in, such as "positive[1]" */
    const char *id;    /* NULL: it is a picture */
    struct upload_picture picture;
    const struct embed_item *embed; /* the picture's, once it is embedded */
};

struct search_request {
    const char *where;   /* "" or "searches[3]." before the names of its fields */
    const char *model;   /* NULL: not named */
    const float *vector; /* asked by a vector of n_vector components; NULL: by examples */
    size_t n_vector;
    struct example *examples; /* the positive ones first; `id` and `image` are one positive example */
    size_t n_positive, n_negative;
    size_t offset;          /* hits, or groups, that are left out at the top */
    const char *group_by;   /* a key: the best hit of each of its values; NULL: all hits */
    struct search settings; /* limit (with the offset), filter, threshold, exact, ef, with_vector */
};

/* Reads a search from the query parameters and, above them, the JSON object v; NULL: the body is the
 * picture, or a form with it.  Everything lives as long as the call. */
MUST_CHECK bool search_request_read(struct call *c, const struct json *v, const char *where, struct search_request *q);
size_t search_request_pictures(const struct search_request *q);

#endif
