/* route.h - tables of routes and how a path finds its row. */
#ifndef ANCHORD_API_REQUESTS_ROUTE_H
#define ANCHORD_API_REQUESTS_ROUTE_H

#include "api/requests/call.h"

enum body_limit { NO_BODY, SMALL_BODY, UPLOAD_BODY, MODEL_BODY }; /* 0, 1 MB, settings, settings */

/* The kinds of a body, told by its content type; without one, bytes or an image. */
enum takes { TAKES_NOTHING = 1, TAKES_JSON = 2, TAKES_MULTIPART = 4, TAKES_BYTES = 8, TAKES_IMAGE = 16 };

struct route {
    enum method method;
    const char *pattern;
    enum listener listener;
    enum role role;
    enum body_limit limit;
    unsigned takes;
    const char *name; /* the handler's */
    bool (*handler)(struct call *c);
    const char *query;                /* the parameters it knows, separated by spaces */
    const char *json, *form, *answer; /* schemas of bodies and of the answer; "" for none */
    int status;
    const char *help;
};

struct route_table { /* handed to the app (app.h), so that whoever drives calls knows no handler */
    const struct route *rows;
    size_t n;
};
extern const struct route_table api_routes; /* routes.def */
const char *method_name(enum method m);     /* "GET"; static */

enum { ROUTE_PARAMS = 2 };
struct span {
    const char *start;
    size_t len;
};
struct route_match {
    const struct route *route;        /* NULL: none */
    struct span params[ROUTE_PARAMS]; /* of the path, still percent-encoded */
    size_t body_max;                  /* bytes; 0: no body is allowed */
    char allow[64];                   /* when the method is wrong: "GET, HEAD, PUT" */
};
/* ERR_NOT_FOUND; ERR_BAD_METHOD with m->allow set; admin routes are ERR_NOT_FOUND on the public listener.  HEAD goes where GET
 * goes: whoever sends the answer drops its body. */
MUST_CHECK bool route_find(const struct app *app, enum listener l, enum method method, const char *path,
                           struct route_match *m, struct err *e);
/* The name of path parameter i, as the pattern has it in braces. */
void route_param_name(const struct route *r, size_t i, char *out, size_t size);
/* Monitors ask this route: they get a thread that nothing else can take. */
bool route_is_watch(const char *path);

/* The handlers: the first stage of each route. */
#define ROUTE(method, pattern, listener, role, limit, takes, handler, query, json, form, answer, status, help)         \
    bool handler(struct call *c);
#include "api/requests/routes.def"
#undef ROUTE

#endif
