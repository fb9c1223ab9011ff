/* grouping.h - a search that gives the best hit of each value at a key. */
#ifndef ANCHORD_API_REQUESTS_GROUPING_H
#define ANCHORD_API_REQUESTS_GROUPING_H

#include "api/requests/stage.h"

struct grouped {
    struct hits hits;    /* best first, one of each value */
    const char **values; /* [hits.n]: JSON texts of what they have at the key; they live as long as the hits */
};

/* "label", or a key of the metadata in the language of filters: "shop", "a.b", "a[].b", "metadata.label". */
bool grouping_is_key(const char *text);

/* `key` is such a key.  Images without a text, number or boolean there are left out; of a list the first element
 * counts.  Gives q->limit values where so many match.  The search is widened until they are found, down to the 20,000th
 * hit and within the limits of the work at hand.  Meanwhile their texts are held. */
MUST_CHECK bool grouping_search(struct view *v, const struct search *q, const char *key, struct grouped *out,
                                struct err *e);
void grouped_clear(struct grouped *g);

#endif
