/* routes.c - the table of all routes. */
#include "api/requests/route.h"
#include "base/num.h"

static const struct route routes[] = {
#define ROUTE(method, pattern, listener, role, limit, takes, handler, query, json, form, answer, status, help)         \
    {METHOD_##method,                                                                                                  \
     pattern,                                                                                                          \
     LISTENER_##listener,                                                                                              \
     ROLE_##role,                                                                                                      \
     limit,                                                                                                            \
     takes,                                                                                                            \
     #handler,                                                                                                         \
     handler,                                                                                                          \
     query,                                                                                                            \
     json,                                                                                                             \
     form,                                                                                                             \
     answer,                                                                                                           \
     status,                                                                                                           \
     help},
#include "api/requests/routes.def"
#undef ROUTE
};

const struct route_table api_routes = {routes, COUNT(routes)};
