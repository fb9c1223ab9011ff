/* http_answer.h - the body of an answer on its way to its reader.
 *
 * A body that is large, or lies in a file, is given to libmicrohttpd a block at a time.  So a reader of a file costs a
 * descriptor and a block, and it is seen how far each reader is.  A client that stops reading, or falls behind
 * min_body_rate, is cut.
 */
#ifndef ANCHORD_SERVER_HTTP_HTTP_ANSWER_H
#define ANCHORD_SERVER_HTTP_HTTP_ANSWER_H

#include "server/http/http_exchange.h"

/* Takes the body of the exchange's response over, with what it holds of its budget, and sets the first deadline.  *len
 * is what will be sent.  NULL: it could not, or the connection was given up. */
struct MHD_Response *answer_response(struct connection *c, uint64_t *len);

#endif
