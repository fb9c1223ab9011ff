/* step.c - the limits of light, lengthy and other stages. */
#include "api/requests/step.h"

#include "api/requests/route.h"
#include "api/services/app.h"
#include "base/clock.h"
#include "base/work_limit.h"

/* What a light thread gives to a stage. */
enum { LIGHT_ROWS = 10000, LIGHT_NS = 50 * 1000 * 1000 };

/* The stage can be begun again: what it changes is the call's alone. */
static bool only_reads(const struct call *c)
{
    return c->route && c->route->role <= ROLE_READ && !c->response.begun;
}

static struct work_limit limit_of(const struct call *c, bool light)
{
    const struct app_options *o = &c->app->options;
    int64_t now = clock_ns();
    struct work_limit l = {.lengthy = c->lengthy, .hurry = &c->app->demand.hurry, .seconds = o->query_seconds};
    l.until = now + (light ? LIGHT_NS : (int64_t)(o->query_seconds * 1e9));
    l.rows = l.rows_max = light ? LIGHT_ROWS : o->query_rows;
    if (c->lengthy) {
        l.gone = c->request->gone;
        l.context = c->request->gone_context;
    }
    return l;
}

enum step_end step_run(struct call *c)
{
    bool light = !c->heavy && !c->lengthy && only_reads(c);
    struct work_limit limit = limit_of(c, light), *before = work_limit_set(&limit);
    c->heavy = c->lengthy = false;
    bool ok = c->stage(c);
    work_limit_set(before);
    if (ok)
        return STEP_WENT_WELL;
    bool too_much = limit.why == WORK_TOOK_LONG || limit.why == WORK_MANY_ROWS;
    return light && too_much && only_reads(c) ? STEP_TOO_MUCH : STEP_FAILED;
}
