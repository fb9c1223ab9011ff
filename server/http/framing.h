/* framing.h - where requests begin and end in the bytes of a connection, read as strictly as RFC 9112 allows.
 *
 *     struct framing f = {0};
 *     size_t read = framing_read(&f, bytes, n);
 *     read < n:  refused for f.status and f.why, and nothing is read any more
 *     f.held:    so many of the bytes read last stand in a head, a line of a chunk or a trailer whose end is not there
 *
 * All bytes that are not held have been proven.  Every head and trailer is whole, and each of its lines ends with CR
 * LF.  A line is either a request line of three words, or a token, a colon and a value without control characters.
 * There is one length, told in one way.  A strict and a forgiving parser end such a request at the same byte.  So bytes
 * that are passed on when they are proven cannot become another request.  One empty line in front of a request line is
 * legal (RFC 9112, 2.2).
 *
 * How bytes are split between calls makes no difference.  No sockets, no memory; fuzzed (tests/fuzz/fuzz_framing.c,
 * and against libmicrohttpd: fuzz_framing_peer.c).
 */
#ifndef ANCHORD_SERVER_HTTP_FRAMING_H
#define ANCHORD_SERVER_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAMING_HEAD_MAX = 32 << 10,      /* bytes of a head, and of a trailer */
    FRAMING_CHUNK_LINE_MAX = 4 << 10, /* of a chunk's size with its extensions */
    FRAMING_KNOWN_MAX = 17            /* of a field's name that matters here */
};

enum framing_state {
    FRAMING_START,
    FRAMING_START_LF,
    FRAMING_METHOD,
    FRAMING_TARGET,
    FRAMING_VERSION,
    FRAMING_LINE_LF,
    FRAMING_FIELD,
    FRAMING_NAME,
    FRAMING_VALUE,
    FRAMING_VALUE_LF,
    FRAMING_END_LF,
    FRAMING_BODY,
    FRAMING_SIZE,
    FRAMING_EXT,
    FRAMING_EXT_NAME,
    FRAMING_EXT_NAME_END,
    FRAMING_EXT_VALUE,
    FRAMING_EXT_TOKEN,
    FRAMING_EXT_QUOTED,
    FRAMING_EXT_ESCAPE,
    FRAMING_EXT_END,
    FRAMING_SIZE_LF,
    FRAMING_DATA,
    FRAMING_DATA_CR,
    FRAMING_DATA_LF,
    FRAMING_STATES
};

enum framing_field { FRAMING_ANY_FIELD, FRAMING_LENGTH, FRAMING_CODING };

struct framing {     /* all zero: a connection begins */
    const char *why; /* refused: the reason, for the client; static */
    unsigned status; /* ... and 400, 413, 414, 431 or 505; 0: not refused */
    size_t held;
    uint64_t heads; /* that were proven */
    /* the rest is framing.c's */
    enum framing_state state;
    enum framing_field field; /* whose value is read */
    uint64_t left;            /* bytes of the body or of the chunk; the length while it is read */
    unsigned at;              /* of the version, of a name, of "chunked" */
    bool old, length, coding; /* HTTP/1.0; which fields were there */
    bool digits, over;        /* of a number; blanks behind a value */
    bool blank_line, trailer, given_up;
    char name[FRAMING_KNOWN_MAX]; /* in small letters */
};

/* Gives how many of the bytes were read: all, or those up to the one that is refused. */
size_t framing_read(struct framing *f, const char *bytes, size_t n);

/* So many of the next bytes are content, whatever they are; 0 in a head, a line or a trailer. */
uint64_t framing_content(const struct framing *f);

/* Nobody wants this body any more: its next chunk is refused with 413, however it begins. */
void framing_give_up(struct framing *f);

/* A request line has been read and the rest of its head has not. */
bool framing_in_fields(const struct framing *f);

/* The text that a forgiving parser gets in place of the refused bytes, so that it refuses too.  It is no request line,
 * no length of a chunk, no end of a chunk and no field. */
extern const char framing_refused[];

/* RFC 9110, 5.6.2: may stand in a method or in a field's name. */
bool framing_is_token(unsigned char c);

#endif
