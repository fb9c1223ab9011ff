/* step.h - running one stage of a call under a limit of time and rows (base/work_limit.h).
 *
 * A light stage of a route that only reads has little of both.  Where that is not enough, it has changed nothing, and
 * is begun again as a lengthy one.  So no query holds a light thread for long, whatever it is about. */
#ifndef ANCHORD_API_REQUESTS_STEP_H
#define ANCHORD_API_REQUESTS_STEP_H

#include "api/requests/call.h"

enum step_end { STEP_WENT_WELL, STEP_FAILED, STEP_TOO_MUCH /* for a light thread; c->err counts for nothing */ };

/* Runs c->stage; c->heavy and c->lengthy say on what thread, and are false afterwards unless the stage sets them. */
enum step_end step_run(struct call *c);

#endif
