/* picture.h - a picture in a request: where it lies, in which spelling, and what is said when it is none. */
#ifndef ANCHORD_API_REQUESTS_PICTURE_H
#define ANCHORD_API_REQUESTS_PICTURE_H

#include "api/requests/stage.h"

/* The picture that a JSON value holds: base64 text, a data URL, or {"image": either}.  Nothing is decoded. */
MUST_CHECK bool read_picture(struct call *c, const struct json *v, const char *param, struct upload_picture *out);

/* Makes a picture that is base64 text one that is bytes, which *decoded then owns.  On a heavy thread.  ERR_BAD_INPUT. */
MUST_CHECK bool picture_decode(struct upload_picture *p, void **decoded, struct err *e);
/* `e` says that `sent` could not be decoded, or that its bytes are no picture.  Where `sent` is a text that was never
 * meant to be one, `e` says that instead. */
void picture_explain(const struct upload_picture *sent, struct err *e);

/* Fails the call for the picture, or the id, that stands in field `where` `param`.  415 speaks of the type of the
 * body itself, so a picture inside of one gets 422. */
bool fail_picture(struct call *c, const struct err *why, const char *where, const char *param);

#endif
