/* gate.c - the checks of a request's head, one after the other. */
#include "server/http/gate.h"

#include <stdlib.h>

#include "api/services/keys.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "server/http/ratelimit.h"

struct gate {
    struct gate_options o;
    struct ratelimit *rates, *failures;
};

struct gate *gate_new(const struct gate_options *o)
{
    struct gate *g = mem_new(1, sizeof *g);
    g->o = *o;
    g->rates = ratelimit_new(o->conf->rate_limit, (double)o->conf->rate_burst);
    g->failures = ratelimit_new((double)o->conf->auth_failures / 60, (double)o->conf->auth_failures);
    return g;
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    ratelimit_free(g->rates);
    ratelimit_free(g->failures);
    free(g);
}

static bool check_origin(struct gate *g, struct visit *v, struct err *e)
{
    const struct head_facts *f = &v->facts;
    bool admin = v->listener == LISTENER_ADMIN;
    const struct conf *c = g->o.conf;
    struct origins o = {&c->allowed_hosts, admin ? &c->admin_cors_origins : &c->cors_origins,
                        g->o.loopback[v->listener], v->local};
    enum origin_kind kind = origin_of(&o, f->origin, f->host);
    bool harmless = f->method == METHOD_GET || f->method == METHOD_HEAD;

    if (!origin_host_is_ours(&o, f->host))
        return err_set(e, ERR_MISDIRECTED, "this host name is not served here (setting allowed_hosts)");
    if (kind == ORIGIN_FOREIGN && !harmless)
        return err_set(e, ERR_ORIGIN, "this web origin may not call (setting %scors_origins)", admin ? "admin_" : "");
    v->foreign = kind == ORIGIN_FOREIGN || (kind == ORIGIN_NONE && origin_is_hidden(f->fetch_site, f->fetch_dest));
    if (kind == ORIGIN_LISTED)
        v->allow_origin = origin_allow(&o, f->origin);
    return true;
}

static bool find_route(struct gate *g, struct visit *v, enum method m, struct err *e)
{
    const struct gate_route *r = &g->o.route;
    bool found = r->find(r->context, v->listener, m, v->head->path, &v->match, e);
    v->allow = !found && e->code == ERR_BAD_METHOD ? v->match.allow : NULL;
    return found;
}

/* OPTIONS never reaches a handler: it asks what others may. */
static bool answer_options(struct gate *g, struct visit *v, struct err *e)
{
    struct err why = {0};
    v->is_options = true;
    v->is_preflight = v->facts.origin && v->facts.wanted_method;
    if (v->is_preflight || find_route(g, v, METHOD_OPTIONS, &why) || why.code == ERR_BAD_METHOD)
        return true;
    return err_move(e, &why);
}

static bool check_key(struct gate *g, struct visit *v, struct err *e)
{
    const struct head_facts *f = &v->facts;
    const char *key = auth_find_key(f->authorization, f->api_key, f->x_api_key);
    if (v->match.route->role == ROLE_NONE)
        return true;
    if (!auth_check(g->o.auth, key, &v->caller, e)) {
        metric_add(METRIC_auth_failures_total, 1, NULL, NULL);
        if (key && !ratelimit_take(g->failures, v->address, clock_ns(), &v->retry_after)) {
            *e = (struct err){0};
            err_set(e, ERR_RATE_LIMITED, "too many wrong keys from this address");
        }
        return false;
    }
    return role_allows(v->caller.role, v->match.route->role, e);
}

/* A page cannot read what it may not, but it can have it computed: its visitor's browser has no key to ask for, and is let in
 * where everybody is. */
static bool check_page(const struct visit *v, struct err *e)
{
    bool admin = v->listener == LISTENER_ADMIN;
    return !v->foreign || v->match.route->role == ROLE_NONE || v->caller.key_id[0] ||
           err_set(e, ERR_ORIGIN, "this web origin may not call without a key (setting %scors_origins)",
                   admin ? "admin_" : "");
}

static bool check_rate(struct gate *g, struct visit *v, struct err *e)
{
    const char *name = v->caller.key_id[0] ? v->caller.key_id : v->address;
    return v->match.route->role == ROLE_NONE || ratelimit_take(g->rates, name, clock_ns(), &v->retry_after) ||
           err_set(e, ERR_RATE_LIMITED, "more requests than the %g a second that are allowed", g->o.conf->rate_limit);
}

bool gate_admit(struct gate *g, struct visit *v, struct err *e)
{
    v->reason = "framing";
    if (!guard_check(v->head, &v->facts, e)) {
        if (e->code == ERR_NOT_IMPLEMENTED || e->code == ERR_BAD_METHOD)
            v->allow = guard_methods;
        return false;
    }
    v->reason = "origin";
    if (!check_origin(g, v, e))
        return false;
    v->reason = "route";
    if (v->facts.method == METHOD_OPTIONS)
        return answer_options(g, v, e);
    if (!find_route(g, v, v->facts.method, e))
        return false;
    v->reason = "key";
    if (!check_key(g, v, e))
        return false;
    v->reason = "origin";
    if (!check_page(v, e))
        return false;
    v->reason = "rate";
    return check_rate(g, v, e);
}
