/* app_settings.c - each setting to its option. */
#include "server/process/app_settings.h"

#include <string.h>

#include "api/requests/route.h"
#include "api/services/models.h"
#include "server/process/shipped_model.h"

struct image_limits image_settings(const struct conf *c)
{
    struct image_limits l = image_default_limits;
    l.bytes = (size_t)c->max_body_bytes;
    l.pixels = (uint64_t)c->max_image_pixels;
    l.side = (uint32_t)c->max_image_side;
    l.scans = (uint32_t)c->max_jpeg_scans;
    l.millis = (uint32_t)c->max_decode_milliseconds;
    return l;
}

struct encoder_options encoder_settings(const struct conf *c)
{
    return (struct encoder_options){.precision = (enum precision)c->precision, .backend = (enum backend)c->backend};
}

bool admin_key_is_set(const struct conf *c)
{
    return *c->admin_key || *c->admin_key_file;
}

struct app_options app_settings(const struct conf *c)
{
    return (struct app_options){
        .store = {.dir = c->data,
                  .min_free_bytes = (uint64_t)c->min_free_bytes,
                  .queue = (size_t)c->write_queue,
                  .hnsw_from = (size_t)c->hnsw_from,
                  .seal_at = (size_t)c->seal_at,
                  .thumbnail_cache_bytes = (uint64_t)c->thumbnail_cache_bytes,
                  .keep_generations = (size_t)c->keep_generations,
                  .background = true},
        .encoder = encoder_settings(c),
        .limits = image_settings(c),
        .model_file = c->model[0] ? c->model : NULL,
        .shipped_file = shipped_model(),
        .decode_memory = (size_t)c->decode_memory_bytes,
        .answer_memory = (size_t)c->answer_memory_bytes,
        .body_max = (size_t)c->max_body_bytes,
        .json_max = (size_t)c->max_json_bytes,
        .model_max = (size_t)c->max_model_bytes,
        .admin_in_settings = admin_key_is_set(c),
        .items_max = (size_t)c->max_request_images,
        .query_seconds = (double)c->query_seconds,
        .query_rows = c->query_rows,
        .routes = &api_routes,
    };
}
