/* publish.h - after the commit: what searches see follows what the catalogue says. */
#ifndef ANCHORD_INDEX_PUBLISH_H
#define ANCHORD_INDEX_PUBLISH_H

#include "index/effect.h"

/* Carries out the effects of a group in their order; freed image files are the writer's own.  False when an index could
 * not follow: it then shows an older state than the catalogue. */
MUST_CHECK bool publish_effects(struct group *g, struct err *e);

#endif
