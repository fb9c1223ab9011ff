/* job_pictures.c - from a collection to a manifest. */
#include "api/jobs/job_pictures.h"

#include <stdio.h>

#include "base/file.h"
#include "engine/data/manifest.h"
#include "engine/training/run_folder.h"
#include "index/pin.h"

static void add_pinned(const struct pinned *p, void *context)
{
    char path[128];
    snprintf(path, sizeof path, RUN_PICTURES "/%s", p->file);
    manifest_add(context, path, p->sha256, p->label);
}

bool job_pictures_pin(struct store *s, const char *collection, const char *folder, const char *list, struct err *e)
{
    char path[PATH_MAX];
    struct manifest m = {0};
    bool ok = store_pin(s, collection, path_join(path, folder, RUN_PICTURES), add_pinned, &m, e);
    if (ok) {
        manifest_seal(&m);
        ok = (m.n > 0 || err_set(e, ERR_BAD_INPUT, "the collection %s has no images", collection)) &&
             manifest_write(&m, path_join(path, folder, "%s", list), e);
    }
    manifest_clear(&m);
    return ok;
}
