/* report_html.h - the frame of a report's page: one file that loads nothing and runs nothing, light and dark. */
#ifndef ANCHORD_ENGINE_TRAINING_REPORT_HTML_H
#define ANCHORD_ENGINE_TRAINING_REPORT_HTML_H

#include "base/buf.h"

/* Text from outside (paths, labels, messages), so that it is nothing but text.  NULL writes nothing. */
void html_text(struct buf *out, const char *text);

/* From <!doctype> to <main>, and from </main> on; the title is escaped. */
void html_begin(struct buf *out, const char *title);
void html_end(struct buf *out);

/* A PNG as an <img> that carries its bytes; alt is escaped. */
void html_png(struct buf *out, const void *png, size_t len, const char *alt);

#endif
