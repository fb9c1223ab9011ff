/* fields.h - reading a request: path and query parameters, what the body is, conditions, labels, pictures.
 *
 * All give false with c->err naming the field.
 */
#ifndef ANCHORD_API_FIELDS_H
#define ANCHORD_API_FIELDS_H

#include "api/multipart.h"
#include "api/route.h"
#include "api/stage.h"

/* ---- path and query ---- */

/* Decodes and checks the path parameters into c->params: {id} is an image's, all others are names. */
MUST_CHECK bool path_params(struct call *c, const struct route_match *m);
/* Every query parameter is known to the route, and given once. */
MUST_CHECK bool query_check(struct call *c);
/* Also finds the text fields of a form, once read_form() has been called.  NULL when absent. */
const char *query_text(const struct call *c, const char *name);
/* These leave *out alone when the parameter is absent. */
MUST_CHECK bool query_int(struct call *c, const char *name, int64_t min, int64_t max, int64_t *out);
MUST_CHECK bool query_real(struct call *c, const char *name, double *out);
MUST_CHECK bool query_bool(struct call *c, const char *name, bool *out);
MUST_CHECK bool query_json(struct call *c, const char *name, const struct json **out); /* the call's */
MUST_CHECK bool query_filter(struct call *c, struct filter **out);                     /* the call's */

/* The Accept header names this media type; "*" is not enough, for it is what clients send who want nothing special. */
bool accepts(const struct call *c, const char *type);

/* ---- the body ---- */

/* What the body is by its content type, one of `enum takes` that the route takes; 0: none of them. */
unsigned content_of(const struct call *c);
/* The media types it takes, for people; static. */
const char *content_wanted(const struct route *r);
/* The `file` parts of a multipart body, at least one; the other parts count as query parameters from now on. */
MUST_CHECK bool read_form(struct call *c, struct part **files, size_t *n);
/* Puts `prefix` before the field that c->err names: "limit" -> "searches[2].limit". */
bool err_prefix(struct call *c, const char *prefix);

/* ---- fields that several routes share ---- */

/* A name of a collection, a model, a key or a job. */
MUST_CHECK bool check_id(struct call *c, const char *id, const char *param);
MUST_CHECK bool check_image_id(struct call *c, const char *id, const char *param);
MUST_CHECK bool check_label(struct call *c, const char *label, const char *param);
/* Compact JSON text of a metadata object, in the arena; NULL for a JSON null or an empty object. */
MUST_CHECK bool compact_metadata(struct call *c, const struct json *v, const char *param, const char **out);
/* If-Match and If-None-Match of a write. */
MUST_CHECK bool read_precondition(struct call *c, struct precondition *out);
/* A list of images' ids from JSON, as an array in the arena. */
MUST_CHECK bool read_ids(struct call *c, const struct json *list, const char *param, const char *const **ids,
                         size_t *n);
/* The generation pinned by a header; 0: none. */
MUST_CHECK bool read_pin(struct call *c, int64_t *out);

/* The picture that a JSON value holds: base64 text, a data URL, or {"image": either}.  Nothing is decoded. */
MUST_CHECK bool read_picture(struct call *c, const struct json *v, const char *param, struct picture *out);
/* The picture that is the whole body. */
struct picture body_picture(const struct call *c);

/* Fails the call for the picture, or the id, that stands in field `where` `param`.  415 speaks of the type of the
 * body itself, so a picture inside of one gets 422. */
bool fail_picture(struct call *c, const struct err *why, const char *where, const char *param);

/* "<hash>-<revision>" in quotes, in the arena. */
const char *etag_of(struct call *c, const struct image_row *row);
/* True when If-None-Match names this tag: the client has it already. */
bool etag_is_known(const struct call *c, const char *etag);

#endif
