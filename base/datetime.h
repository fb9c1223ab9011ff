/* datetime.h - a date and time as text (RFC 3339), as microseconds since 1970. */
#ifndef ANCHORD_BASE_DATETIME_H
#define ANCHORD_BASE_DATETIME_H

#include <stdbool.h>
#include <stdint.h>

/* "2024-05-17T08:30:00.25Z", "2024-05-17T10:30:00+02:00"; a blank for the T, no seconds, no zone (then it is UTC) and
 * the date alone are fine too.  Digits beyond microseconds count for nothing.  False: it is none. */
bool datetime_parse(const char *text, int64_t *micros);

#endif
