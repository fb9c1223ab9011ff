/* serve_file.c - the addresses that the serving process leaves in its data folder. */
#include "server/process/serve_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"

enum { FILE_MAX = 4096 };

bool serve_file_read(const char *dir, struct serve_addresses *out, struct err *e)
{
    char path[PATH_MAX];
    void *text = NULL;
    size_t len = 0;
    const char *public_url = NULL, *admin_url = NULL, *certificate = NULL;
    if (!file_read(path_join(path, dir, "serve.json"), FILE_MAX, &text, &len, e))
        return false;
    struct json *doc = json_parse(text, len, 0, e);
    bool ok = doc && json_get_text(doc, "public", sizeof out->public_url - 1, &public_url, e) &&
              json_get_text(doc, "admin", sizeof out->admin_url - 1, &admin_url, e) &&
              json_get_text(doc, "certificate", sizeof out->certificate - 1, &certificate, e) &&
              ((public_url && admin_url) || err_set(e, ERR_CORRUPT, "an address is missing"));
    if (ok) {
        snprintf(out->public_url, sizeof out->public_url, "%s", public_url);
        snprintf(out->admin_url, sizeof out->admin_url, "%s", admin_url);
        snprintf(out->certificate, sizeof out->certificate, "%s", certificate ? certificate : "");
    } else {
        err_unfield(e);
        err_wrap(e, "reading %s", path);
    }
    json_free(doc);
    free(text);
    return ok;
}

bool serve_file_write(const char *dir, const struct serve_addresses *a, struct err *e)
{
    char path[PATH_MAX];
    struct buf text = {0};
    struct json_writer w = jw_to(&text);
    jw_object(&w, NULL);
    jw_int(&w, "pid", getpid());
    jw_text(&w, "public", a->public_url);
    jw_text(&w, "admin", a->admin_url);
    if (a->certificate[0])
        jw_text(&w, "certificate", a->certificate);
    jw_end(&w);
    bool ok = file_replace(path_join(path, dir, "serve.json"), text.data, text.len, e);
    buf_clear(&text);
    return ok;
}

void serve_file_remove(const char *dir)
{
    char path[PATH_MAX];
    unlink(path_join(path, dir, "serve.json"));
}
