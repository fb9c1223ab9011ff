/* json_writer.h - writing JSON straight into a buf, without building a tree.
 *
 *     struct json_writer w = jw_to(&buf);
 *     jw_object(&w, NULL);
 *     jw_text(&w, "id", id);
 *     jw_array(&w, "embedding");
 *     for (...) jw_float(&w, NULL, v[i]);
 *     jw_end(&w);
 *     jw_end(&w);
 *
 * Commas, escapes and nesting are taken care of.  The key is NULL inside arrays and at the top.
 */
#ifndef ANCHORD_BASE_JSON_WRITER_H
#define ANCHORD_BASE_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { JSON_WRITER_DEPTH = 32 };
struct json_writer {
    struct buf *buf; /* borrowed */
    int depth;
    char closer[JSON_WRITER_DEPTH];
    bool first[JSON_WRITER_DEPTH + 1];
};
struct json_writer jw_to(struct buf *buf);
void jw_object(struct json_writer *w, const char *key);
void jw_array(struct json_writer *w, const char *key);
void jw_end(struct json_writer *w);
void jw_text(struct json_writer *w, const char *key,
             const char *value); /* NULL writes null; bad UTF-8 becomes U+FFFD */
void jw_int(struct json_writer *w, const char *key, int64_t value);
void jw_real(struct json_writer *w, const char *key, double value);  /* as real_text(); NaN and Inf: null */
void jw_short(struct json_writer *w, const char *key, double value); /* the same, of six digits: for people */
void jw_float(struct json_writer *w, const char *key, float value);  /* 9 digits: exact for float32 */
void jw_bool(struct json_writer *w, const char *key, bool value);
void jw_null(struct json_writer *w, const char *key);
void jw_raw(struct json_writer *w, const char *key, const char *json); /* text that is JSON already; NULL: null */

/* The shortest text of 15, 16 or 17 digits that reads back as the same number: 0.305, 5, 1e300.  The number is finite. */
enum { REAL_TEXT_MAX = 32 };
void real_text(double value, char out[REAL_TEXT_MAX]);

#endif
