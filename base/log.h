/* log.h - one line for each event on standard error: time, level, event, key=value pairs.
 *
 *     log_info("upload", "collection=%s id=%s bytes=%zu", c, id, n);
 *     2026-11-24T10:00:00.123Z info upload collection=default id=cat.1 bytes=4711
 *
 * Text that came from a client goes through log_quote() first, so that it cannot forge lines.
 * Any thread may call.
 */
#ifndef ANCHORD_BASE_LOG_H
#define ANCHORD_BASE_LOG_H

#include <stddef.h>

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
extern const char *const log_level_names[]; /* "debug", ..., without LOG_OFF; NULL at the end */

void log_set_level(enum log_level level); /* LOG_INFO at the start */
enum log_level log_get_level(void);
void log_debug(const char *event, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_info(const char *event, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_warn(const char *event, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_error(const char *event, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* As log_info(), but for lines that come by the thousand.  They are gathered and written together, at the latest by the
 * next log_flush() or the next line of another kind.  The caller flushes regularly. */
void log_later(const char *event, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_flush(void);

/* Writes `text` in double quotes into out (cut to fit): control characters, quotes, backslashes and
 * bytes above 126 are written \xNN.  Gives out. */
const char *log_quote(const char *text, char *out, size_t size);

#endif
