/* route.c - finding the row of a route table that a method and a path mean. */
#include "api/requests/route.h"

#include <stdio.h>
#include <string.h>

#include "api/services/app.h"
#include "base/num.h"

static const char *const method_names[] = {
    [METHOD_OTHER] = "OTHER",   [METHOD_GET] = "GET",         [METHOD_HEAD] = "HEAD",
    [METHOD_PUT] = "PUT",       [METHOD_POST] = "POST",       [METHOD_PATCH] = "PATCH",
    [METHOD_DELETE] = "DELETE", [METHOD_OPTIONS] = "OPTIONS", [METHOD_TRACE] = "TRACE",
};

const char *method_name(enum method m)
{
    return method_names[m];
}

static bool matches(const char *pattern, const char *path, struct span *params)
{
    size_t n = 0;
    while (*pattern) {
        if (*pattern == '{') {
            size_t len = strcspn(path, "/");
            if (len == 0 || n == ROUTE_PARAMS)
                return false;
            params[n++] = (struct span){path, len};
            path += len;
            pattern = strchr(pattern, '}') + 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == 0;
}

static void allow_method(char *allow, size_t size, enum method m)
{
    size_t used = strlen(allow);
    snprintf(allow + used, size - used, "%s%s%s", used ? ", " : "", method_name(m), m == METHOD_GET ? ", HEAD" : "");
}

static size_t body_max(const struct app *app, const struct route *r)
{
    switch (r->limit) {
    case NO_BODY: return 0;
    case SMALL_BODY: return 1 << 20;
    case UPLOAD_BODY: return app->options.body_max;
    case MODEL_BODY: return app->options.model_max;
    }
    return 0;
}

bool route_find(const struct app *app, enum listener l, enum method method, const char *path, struct route_match *m,
                struct err *e)
{
    *m = (struct route_match){0};
    if (method == METHOD_HEAD)
        method = METHOD_GET;
    for (size_t i = 0; i < app->options.routes->n; i++) {
        const struct route *r = &app->options.routes->rows[i];
        struct span params[ROUTE_PARAMS] = {{0}};
        if ((r->listener == LISTENER_ADMIN && l != LISTENER_ADMIN) || !matches(r->pattern, path, params))
            continue;
        if (r->method == method) {
            memcpy(m->params, params, sizeof params);
            m->route = r;
            m->body_max = body_max(app, r);
            return true;
        }
        allow_method(m->allow, sizeof m->allow, r->method);
    }
    if (m->allow[0])
        return err_set(e, ERR_BAD_METHOD, "this path knows %s", m->allow);
    return err_set(e, ERR_NOT_FOUND, "there is nothing at this path");
}

void route_param_name(const struct route *r, size_t i, char *out, size_t size)
{
    const char *p = r->pattern;
    for (size_t k = 0; (p = strchr(p, '{')) && k < i; k++)
        p++;
    snprintf(out, size, "%.*s", p ? (int)strcspn(p + 1, "}") : 0, p ? p + 1 : "");
}

bool route_is_watch(const char *path)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics"};
    for (size_t i = 0; i < COUNT(paths); i++)
        if (strcmp(path, paths[i]) == 0)
            return true;
    return false;
}
