/* secrets.c - files with one text each. */
#include "server/process/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { KEY_FILE_MAX = 4096, PEM_MAX = 1 << 20 };

/* A file's text without the line end; "" for no file.  NULL on failure.  A file with nothing in it is a secret that
 * somebody meant to give: to go on without it would let everybody in. */
static char *read_text(const char *setting, const char *path, size_t max, struct err *e)
{
    void *text = NULL;
    size_t len;
    if (!*path)
        return mem_text("");
    if (!file_read(path, max, &text, &len, e)) {
        err_wrap(e, "%s", setting);
        return NULL;
    }
    char *t = text;
    while (len > 0 && strchr("\r\n ", t[len - 1]))
        t[--len] = 0;
    if (len > 0 && !memchr(t, 0, len))
        return t;
    err_set(e, ERR_BAD_INPUT, len ? "%s: %s is no text: it has a zero byte" : "%s: %s has nothing in it", setting,
            path);
    free(t);
    return NULL;
}

bool secrets_read(struct secrets *out, const struct conf *c, struct err *e)
{
    *out = (struct secrets){0};
    if (!*c->tls_cert_file != !*c->tls_key_file)
        return err_set(e, ERR_BAD_INPUT, "%s: the other of tls_cert_file and tls_key_file is missing",
                       *c->tls_cert_file ? "tls_cert_file" : "tls_key_file");
    if (*c->admin_key && *c->admin_key_file)
        return err_set(e, ERR_BAD_INPUT, "admin_key: admin_key_file is set too; one of them is enough");
    out->admin_key =
        *c->admin_key ? mem_text(c->admin_key) : read_text("admin_key_file", c->admin_key_file, KEY_FILE_MAX, e);
    out->cert = read_text("tls_cert_file", c->tls_cert_file, PEM_MAX, e);
    out->key = read_text("tls_key_file", c->tls_key_file, PEM_MAX, e);
    return out->admin_key && out->cert && out->key;
}

void secrets_clear(struct secrets *s)
{
    free(s->admin_key);
    free(s->cert);
    free(s->key);
    *s = (struct secrets){0};
}
