/* train_data.c - from a configuration to a manifest. */
#include "server/commands/train_data.h"

#include <unistd.h>

#include "api/jobs/job_pictures.h"
#include "base/file.h"
#include "engine/training/run_folder.h"
#include "index/store.h"

static bool pin_collection(const struct train_config *c, struct err *e)
{
    char path[PATH_MAX];
    if (access(path_join(path, c->store, "anchord.db"), F_OK) != 0) /* opening would make a new one */
        return err_set(e, ERR_NOT_FOUND, "`store`: %s is no data folder", c->store);
    struct store *s = store_open(&(struct store_options){.dir = c->store}, e);
    if (!s && e->code == ERR_BUSY)
        return err_wrap(e,
                        "a running server trains on its own collections (POST /v1/fine_tuning/jobs), or stop it first");
    bool ok = s && job_pictures_pin(s, c->collection, c->out, RUN_MANIFEST, e);
    store_close(s);
    return ok;
}

bool train_data_read(const struct train_config *c, bool resume, struct manifest *m, struct err *e)
{
    char list[PATH_MAX];
    if (c->data)
        return manifest_read_folder(m, c->data, e);
    if (c->manifest)
        return manifest_read(m, c->manifest, e);
    bool known = access(path_join(list, c->out, RUN_MANIFEST), F_OK) == 0 && resume;
    return (known || (file_make_dirs(c->out, e) && pin_collection(c, e))) && manifest_read(m, list, e);
}
