/* cmd_health.c - `anchord health`: asks the server that has the data folder whether it is ready; for containers. */
#include <stdio.h>

#include "base/num.h"
#include "server/commands/command.h"
#include "server/commands/http_client.h"
#include "server/process/serve_file.h"

static bool ask_ready(const char *url, const struct tls_trust *trust, struct err *e)
{
    struct http_reply r = {0};
    struct http_client *c = http_client_new(url, NULL, trust, e);
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
    struct tls_trust trust = {0};
    const struct flag flags[] = {{.name = "url", .text = &url}, {.name = "ca-file", .text = &trust.ca_file}};
    struct serve_addresses there;
    struct conf c;
    struct err e = {0};
    int code = command_begin("health", &c, &argc, argv, flags, COUNT(flags));
    if (code == EXIT_DONE && argc > 0) {
        err_set(&e, ERR_BAD_INPUT, "health takes no operands");
        code = command_misused("health", &e);
    } else if (code == EXIT_DONE) {
        if (!url && serve_file_read(c.data, &there, &e)) {
            url = there.public_url;
            trust.certificate = there.certificate;
        }
        if (!url || !ask_ready(url, &trust, &e))
            code = command_failed(&e);
        else
            puts("ready");
    }
    conf_clear(&c);
    return code;
}
