/* err.h - how a failure is told.
 *
 * A function that can fail returns bool (or a pointer) and takes `struct err *e` last:
 *
 *     if (!file_read(path, max, &buf, &len, e))
 *         return err_wrap(e, "loading %s", name);
 *
 * The first error wins: setting an error that is already set changes nothing.  The code is stable
 * and meant for programs; the text is for people: lower case, no full stop, what was tried, then why.
 * `e` may be NULL where the caller does not care.  An err owns nothing and needs no release.
 */
#ifndef ANCHORD_BASE_ERR_H
#define ANCHORD_BASE_ERR_H

#include <stdbool.h>

#if defined(__GNUC__)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK             __attribute__((warn_unused_result))
#else
#define PRINTF_LIKE(fmt, args)
#define MUST_CHECK
#endif

/* name, machine-readable code as clients see it */
#define ERR_CODES(X)                                                                                                   \
    X(NONE, "ok")                                                                                                      \
    X(BAD_INPUT, "invalid_request")     /* a field is wrong: param names it */                                         \
    X(UNDECODABLE, "undecodable_image") /* right type, damaged content */                                              \
    X(MEDIA_TYPE, "unsupported_media_type")                                                                            \
    X(UNAUTHENTICATED, "invalid_api_key")                                                                              \
    X(FORBIDDEN, "insufficient_role")                                                                                  \
    X(ORIGIN, "origin_not_allowed") /* a web page that may not call */                                                 \
    X(NOT_FOUND, "not_found")                                                                                          \
    X(BAD_METHOD, "method_not_allowed")                                                                                \
    X(NOT_IMPLEMENTED, "not_implemented")                                                                              \
    X(CONFLICT, "conflict") /* retrying will not help */                                                               \
    X(PRECONDITION, "precondition_failed")                                                                             \
    X(TOO_LARGE, "too_large") /* over a configured limit */                                                            \
    X(TIMEOUT, "timeout")                                                                                              \
    X(EXPECTATION, "expectation_failed")                                                                               \
    X(MISDIRECTED, "misdirected_request")                                                                              \
    X(RATE_LIMITED, "rate_limited")                                                                                    \
    X(BUSY, "overloaded")  /* try again later */                                                                       \
    X(STALE, "overloaded") /* what was looked up is another by now: look again */                                      \
    X(FULL, "insufficient_storage")                                                                                    \
    X(IO, "storage_error")                                                                                             \
    X(CORRUPT, "corrupt_data") /* a stored file is damaged */                                                          \
    X(INTERNAL, "internal_error")

enum err_code {
#define X(name, text) ERR_##name,
    ERR_CODES(X)
#undef X
        ERR_COUNT
};

struct err {
    enum err_code code;
    char param[64]; /* the request field at fault, such as "input[3]"; empty when there is none */
    char text[256];
};

/* All return false, so that a failing path is one line. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A bad request field: ERR_BAD_INPUT with `param` set. */
bool err_field(struct err *e, const char *param, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Adds ": " and strerror(errno).  ENOSPC and EDQUOT give ERR_FULL, a lack of descriptors or memory ERR_BUSY, all
 * others ERR_IO. */
bool err_sys(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "context: " in front of the text that is there. */
bool err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The first error wins here too: `why` goes to `e` unless that is set.  Its field goes with it. */
bool err_move(struct err *e, const struct err *why);
/* The text has the name of the field in it already, in double quotes. */
bool err_names_field(const struct err *e);
/* Puts `prefix` before `param`: "limit" -> "searches[2].limit"; without one the whole item is at fault, "searches[2]". */
bool err_prefix(struct err *e, const char *prefix);
/* Moves `param` into the text ("param: text"), where the field is of a file and not of the request. */
bool err_unfield(struct err *e);

/* "not_found" for ERR_NOT_FOUND.  Static. */
const char *err_name(enum err_code code);

#endif
