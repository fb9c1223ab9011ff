/* cmd_health.c - `anchord health`: asks the server that has the data folder whether it is ready; for containers. */
#include <stdio.h>

#include "base/num.h"
#include "server/commands/command.h"
#include "server/commands/http_client.h"
#include "server/serve_file.h"

static bool ask_ready(const char *url, struct err *e)
{
    struct http_reply r = {0};
    struct http_client *c = http_client_new(url, NULL, e);
    bool ok = c && http_client_ask(c, &(struct http_ask){.method = "GET", .target = "/readyz"}, &r, e);
    if (ok && r.status != 200)
        ok = err_set(e, ERR_BUSY, "%s is not ready (status %d)", url, r.status);
    buf_clear(&r.body);
    http_client_free(c);
    return ok;
}

int cmd_health(int argc, char **argv)
{
    const char *url = NULL;
    const struct flag flags[] = {{.name = "url", .text = &url}};
    struct serve_addresses there;
    struct conf c;
    struct err e = {0};
    int code = command_begin("health", &c, &argc, argv, flags, COUNT(flags));
    if (code == EXIT_DONE && argc > 0) {
        err_set(&e, ERR_BAD_INPUT, "health takes no operands");
        code = command_misused("health", &e);
    } else if (code == EXIT_DONE) {
        if (!url && serve_file_read(c.data, &there, &e))
            url = there.public_url;
        if (!url || !ask_ready(url, &e))
            code = command_failed(&e);
        else
            puts("ready");
    }
    conf_clear(&c);
    return code;
}
