/* serve_file.c - reads the addresses that the serving process left in its data folder. */
#include "server/serve_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"

enum { FILE_MAX = 4096 };

bool serve_file_read(const char *dir, struct serve_addresses *out, struct err *e)
{
    char path[PATH_MAX];
    void *text = NULL;
    size_t len = 0;
    const char *public_url = NULL, *admin_url = NULL;
    snprintf(path, sizeof path, "%s/serve.json", dir);
    if (!file_read(path, FILE_MAX, &text, &len, e))
        return false;
    struct json *doc = json_parse(text, len, 0, e);
    bool ok = doc && json_get_text(doc, "public", sizeof out->public_url - 1, &public_url, e) &&
              json_get_text(doc, "admin", sizeof out->admin_url - 1, &admin_url, e) &&
              ((public_url && admin_url) || err_set(e, ERR_CORRUPT, "an address is missing"));
    if (ok) {
        snprintf(out->public_url, sizeof out->public_url, "%s", public_url);
        snprintf(out->admin_url, sizeof out->admin_url, "%s", admin_url);
    } else {
        err_unfield(e);
        err_wrap(e, "reading %s", path);
    }
    json_free(doc);
    free(text);
    return ok;
}
