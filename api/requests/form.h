/* form.h - a multipart body as the pictures and the fields that it carries.
 *
 * A part called file, files, image or images, also with [] behind it, is a picture.  Every other part is a field, of
 * one of two kinds.  One is a query parameter of the route, given once in query and form together; query_text() then
 * finds it.  The other belongs to the pictures and may come many times.  Parts come in any order.
 */
#ifndef ANCHORD_API_REQUESTS_FORM_H
#define ANCHORD_API_REQUESTS_FORM_H

#include "api/requests/multipart.h"
#include "api/requests/stage.h"

struct form {
    struct part *files; /* at least one */
    size_t n;
};

/* Reads the body.  `own`: the fields that belong to pictures, separated by spaces.  False with c->err: an unknown
 * part, a field twice, a zero byte in a field, no picture or too many. */
MUST_CHECK bool form_read(struct call *c, const char *own, struct form *out);

/* The values of a field of pictures, in order of appearance: none, one, or one for each picture.  `shared` says that
 * one will do for all; else one will do for one picture only. */
MUST_CHECK bool form_values(struct call *c, const struct form *f, const char *name, bool shared,
                            const char *const **values, size_t *n);

/* The picture that is the whole body, or the only one of the form that is the body.  *param: the field that it stands
 * in, "" for none. */
MUST_CHECK bool body_picture(struct call *c, struct upload_picture *out, const char **param);

#endif
