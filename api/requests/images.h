/* images.h - an image as JSON, the same in every answer. */
#ifndef ANCHORD_API_REQUESTS_IMAGES_H
#define ANCHORD_API_REQUESTS_IMAGES_H

#include "api/requests/stage.h"

/* {"object":"image",...}; `status` > 0 adds that member, for answers to many. */
void write_image(struct json_writer *w, const struct image_row *row, int status);
/* The members alone, into an object that the caller has begun. */
void write_image_members(struct json_writer *w, const struct image_row *row);

/* The vectors that stand beside images. */
struct shown_vectors {
    struct view *view; /* the call's; NULL: none are shown */
    bool base64;       /* as base64 of little-endian fp32, else as numbers */
    float *room;       /* [dimensions], in the arena */
};
/* For the collection that the path names; `encoding` is "float", "base64" or NULL. */
MUST_CHECK bool show_vectors(struct call *c, const char *encoding, struct shown_vectors *out);
/* Member "vector": null while the image has none. */
void write_image_vector(struct json_writer *w, const struct shown_vectors *v, const char *id);

#endif
