/* train_data.c - from a configuration to a manifest. */
#include "server/commands/train_data.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "index/pin.h"

static void add_pinned(const struct pinned *p, void *context)
{
    char path[128];
    snprintf(path, sizeof path, "pictures/%s", p->file);
    manifest_add(context, path, p->sha256, p->label);
}

static bool pin_collection(const struct train_config *c, const char *list, struct err *e)
{
    struct manifest m = {0};
    char pictures[PATH_MAX];
    snprintf(pictures, sizeof pictures, "%s/anchord.db", c->store);
    if (access(pictures, F_OK) != 0) /* opening would make a new one */
        return err_set(e, ERR_NOT_FOUND, "`store`: %s is no data folder", c->store);
    snprintf(pictures, sizeof pictures, "%s/pictures", c->out);
    struct store *s = store_open(&(struct store_options){.dir = c->store}, e);
    if (!s && e->code == ERR_BUSY)
        return err_wrap(e,
                        "a running server trains on its own collections (POST /v1/fine_tuning/jobs), or stop it first");
    bool ok = s && store_pin(s, c->collection, pictures, add_pinned, &m, e);
    store_close(s);
    if (ok) {
        manifest_seal(&m);
        ok = manifest_write(&m, list, e);
    }
    manifest_clear(&m);
    return ok;
}

bool train_data_read(const struct train_config *c, bool resume, struct manifest *m, struct err *e)
{
    char list[PATH_MAX];
    if (c->data)
        return manifest_read_folder(m, c->data, e);
    if (c->manifest)
        return manifest_read(m, c->manifest, e);
    snprintf(list, sizeof list, "%s/manifest.jsonl", c->out);
    bool known = resume && access(list, F_OK) == 0;
    return (known || (file_make_dirs(c->out, e) && pin_collection(c, list, e))) && manifest_read(m, list, e);
}
