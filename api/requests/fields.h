/* fields.h - reading a request: path and query parameters, what the body is, conditions, labels.
 *
 * All give false with c->err naming the field.
 */
#ifndef ANCHORD_API_REQUESTS_FIELDS_H
#define ANCHORD_API_REQUESTS_FIELDS_H

#include "api/requests/route.h"
#include "api/requests/stage.h"

/* ---- path and query ---- */

/* Decodes and checks the path parameters into c->params: {id} is an image's, all others are names. */
MUST_CHECK bool path_params(struct call *c, const struct route_match *m);
/* Every query parameter is known to the route, and given once. */
MUST_CHECK bool query_check(struct call *c);
/* A word of a list that is separated by spaces. */
bool is_listed(const char *list, const char *name);
/* Also finds the text fields of a form, once form_read() has been called.  NULL when absent. */
const char *query_text(const struct call *c, const char *name);
/* These leave *out alone when the parameter is absent. */
MUST_CHECK bool query_int(struct call *c, const char *name, int64_t min, int64_t max, int64_t *out);
MUST_CHECK bool query_real(struct call *c, const char *name, double *out);
MUST_CHECK bool query_bool(struct call *c, const char *name, bool *out);
MUST_CHECK bool query_filter(struct call *c, struct filter **out); /* the call's */

/* The Accept header names this media type; "*" is not enough, for it is what clients send who want nothing special. */
bool accepts(const struct call *c, const char *type);

/* ---- the body ---- */

/* The kind of the body, one of `enum takes` that the route takes; 0: none of them.  A picture is told by its content,
 * the others by the content type. */
unsigned content_of(const struct call *c);
/* The content type that `curl -d` has, which takes the line ends out of a file. */
bool is_curls_form(const struct call *c);
/* The media types it takes, for people; static. */
const char *content_wanted(const struct route *r);

/* ---- fields that several routes share ---- */

/* A name of a collection, a model, a key or a job. */
MUST_CHECK bool check_id(struct call *c, const char *id, const char *param);
MUST_CHECK bool check_image_id(struct call *c, const char *id, const char *param);
/* A label for the store, which takes "" as none, as NULL is. */
MUST_CHECK bool read_label(struct call *c, const char *text, const char *param, const char **out);
/* Compact JSON text of a metadata object, in the arena; NULL for a JSON null or an empty object. */
MUST_CHECK bool compact_metadata(struct call *c, const struct json *v, const char *param, const char **out);
/* The same of a text, where there is no JSON around it; NULL and "" are none. */
MUST_CHECK bool read_metadata_text(struct call *c, const char *text, const char *param, const char **out);
/* If-Match and If-None-Match of a write. */
MUST_CHECK bool read_precondition(struct call *c, struct precondition *out);
/* A list of images' ids from JSON, as an array in the arena. */
MUST_CHECK bool read_ids(struct call *c, const struct json *list, const char *param, const char *const **ids,
                         size_t *n);
/* The generation pinned by a header; 0: none. */
MUST_CHECK bool read_pin(struct call *c, int64_t *out);

/* "<hash>-<revision>" in quotes, in the arena. */
const char *etag_of(struct call *c, const struct image_row *row);
/* True when If-None-Match names this tag: the client has it already. */
bool etag_is_known(const struct call *c, const char *etag);

#endif
