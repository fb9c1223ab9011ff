/* http_stream.h - answers that go on (CALL_GOES_ON), such as event streams.
 *
 * Each piece is asked for when the one before has left for the client.  So a slow reader holds up itself alone: one
 * piece in memory, no thread.  In between the connection is suspended, as while a request is at work, and has no
 * deadline.  A piece has that of any answer, so a client that does not read is cut.  The next piece notices a client
 * that has left without a word, which is why streams have a heartbeat.  Such an answer ends with its connection.
 */
#ifndef ANCHORD_SERVER_HTTP_HTTP_STREAM_H
#define ANCHORD_SERVER_HTTP_HTTP_STREAM_H

#include "server/http/http_exchange.h"

/* Whether there may be one more; else the call is refused, and its response says so. */
bool stream_admit(struct connection *c);
/* For the call of the exchange, which lives until stream_end(); NULL on failure. */
struct MHD_Response *stream_response(struct connection *c);
/* The exchange is over; fine when it was no stream. */
void stream_end(struct connection *c);

#endif
