/* images.h - an image as JSON, the same in every answer. */
#ifndef ANCHORD_API_IMAGES_H
#define ANCHORD_API_IMAGES_H

#include "base/json_writer.h"
#include "index/store.h"

/* {"object":"image",...}; `status` > 0 adds that member, for answers to many. */
void write_image(struct json_writer *w, const struct image_row *row, int status);

#endif
