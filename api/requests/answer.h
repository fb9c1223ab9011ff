/* answer.h - what goes back: status, headers, JSON bodies, and errors as the one error object.
 *
 * Every error answer is {"error":{"message","type","param","code"}} (OpenAI's shape).  Texts of client errors go out as
 * they are.  A failure inside (storage, damaged files, our bugs) gets a general text.  The true one may name paths or
 * libraries, so it belongs in the log.
 */
#ifndef ANCHORD_API_REQUESTS_ANSWER_H
#define ANCHORD_API_REQUESTS_ANSWER_H

#include "api/requests/call.h"
#include "base/json_writer.h"

/* The HTTP status of an error. */
int err_status(enum err_code code);
/* True where the text must not be told to clients: it is for the log. */
bool err_is_internal(enum err_code code);

/* Adds a header; name and value are borrowed until the answer has been sent. */
void answer_header(struct response *r, const char *name, const char *value);
/* A JSON answer: sets status and type, gives the writer for the body. */
struct json_writer answer_json(struct response *r, int status);
/* An answer without a body. */
void answer_empty(struct response *r, int status);
/* 200 with bytes of a media type, which are taken over: those of a buffer, or an open file's from its beginning. */
void answer_bytes(struct response *r, const char *media_type, struct buf *bytes);
void answer_file(struct response *r, const char *media_type, int fd, uint64_t len);
/* 304; `whole`: the bytes that the body of 200 would have; 0: not known. */
void answer_not_modified(struct response *r, const char *etag, int64_t whole);
/* False: its body did not fit there, and is not what was written. */
MUST_CHECK bool answer_fits(const struct response *r, struct err *e);
/* Turns an error into the error answer with its status and the headers that clients obey (retry-after, x-should-retry).
 * Drops the body that it held before; headers stay.  The server uses it for its own refusals too. */
void answer_error(struct response *r, const struct err *e);
/* The error object alone, for one item of a list.  Its message begins with the field unless it has it in it: some clients
 * show nothing else. */
void write_error(struct json_writer *w, const char *key, const struct err *e);
/* A vector as an array of numbers. */
void write_vector(struct json_writer *w, const char *key, const float *v, size_t n);
/* A vector as base64 of little-endian float32, OpenAI's other encoding. */
void write_vector_base64(struct json_writer *w, const char *key, const float *v, size_t n);
/* The head of a list answer: status 200 and {"object":"list","data":[ ; the array and the object are open. */
struct json_writer answer_list(struct response *r);
void answer_list_end(struct json_writer *w, bool more); /* closes both */
/* Unix seconds; 0: null. */
void write_time(struct json_writer *w, const char *key, int64_t time);
void response_clear(struct response *r); /* as at the beginning: what charges its body stays */

#endif
