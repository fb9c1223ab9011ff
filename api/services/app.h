/* app.h - everything that serving needs, hung off one struct: the store, the models, the settings.
 *
 *     struct app *app = app_open(&(struct app_options){.store = {.dir = "data"}, .routes = &api_routes}, e);
 *     struct plan_cache *plans = plan_cache_new();
 *     call_begin(&call, app, &request);
 *     call_run(&call, plans);
 *     ... call.response ...
 *     call_free(&call);
 *
 * Opening makes what an empty data folder lacks: the collection `default` and the default model `anchord-base`.  The
 * model is models/anchord-base.safetensors where somebody has put it there.  Else it is a copy of the one that comes
 * with the program.  Else it is a seeded, untrained ResNet-18, with a warning in the log.
 */
#ifndef ANCHORD_API_SERVICES_APP_H
#define ANCHORD_API_SERVICES_APP_H

#include <stdatomic.h>
#include <stdint.h>

#include "api/services/demand.h"
#include "api/services/model_cache.h"
#include "base/quota.h"

struct jobs;
struct route_table;

struct app_options {
    struct store_options store;
    struct encoder_options encoder;
    struct image_limits limits;       /* all zero: image_default_limits */
    const char *model_file;           /* the default model; its id is the file's name without its ending.  NULL:
                                    * `anchord-base` of the data folder */
    const char *shipped_file;         /* the model that comes with the program; NULL: none */
    struct arch arch;                 /* of the untrained default model; ARCH_NONE: ResNet-18 ... */
    struct preprocess preprocess;     /* ... at ImageNet's 224 */
    size_t decode_memory;             /* bytes for decoding pictures, all together; 0: 512 MB */
    size_t answer_memory;             /* bytes of all answers that are not sent yet; 0: 256 MB */
    size_t body_max;                  /* bytes of an upload; 0: 32 MB */
    size_t json_max;                  /* bytes of a JSON body; 0: 32 MB */
    size_t model_max;                 /* bytes of an imported model file; 0: 256 MB */
    bool admin_in_settings;           /* one key with the role admin is not in the store */
    size_t reembed_threads;           /* that embed in the background; 0: none, generations wait */
    const struct route_table *routes; /* of the requests that it answers (api/requests/route.h); NULL: none; borrowed */
    size_t items_max;                 /* pictures or searches in one request; 0: 256 */
    double query_seconds;             /* that a request's queries of the catalogue may take; 0: 10 */
    int64_t query_rows;               /* that they may look at; 0: 10 million */
};

struct app {
    struct store *store;
    struct model_cache *models;
    struct budget *decode_memory; /* options.limits points to it */
    struct quota answers;         /* what the bodies of all answers hold; one may have half of it */
    struct app_options options;   /* with the defaults filled in; its strings are gone after app_open() */
    char default_model[ID_MAX + 1];
    int64_t started_at;       /* Unix seconds */
    atomic_uint keys_version; /* grows whenever a key was added or revoked */
    struct reembed *reembed;  /* NULL: none */
    struct jobs *jobs;        /* set by whoever opens them (api/jobs/jobs.h) and closes them first; NULL: none */
    struct demand demand;
    atomic_bool importing;     /* one model import at a time */
    _Atomic int64_t proved_at; /* clock_ns() of the last time that /readyz embedded a golden; 0: never */
};

struct app *app_open(const struct app_options *o, struct err *e); /* NULL on failure */
void app_close(struct app *app);                                  /* NULL is fine */

#endif
