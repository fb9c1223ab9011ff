/* bar.h - parts of a progress display that commands share: a bar of signs, and a duration in words. */
#ifndef ANCHORD_SERVER_COMMANDS_BAR_H
#define ANCHORD_SERVER_COMMANDS_BAR_H

#include <stdint.h>

enum { BAR_SIGNS = 30, DURATION_TEXT = 24 };

/* "######........................"; gives out.  done <= all, all > 0. */
const char *bar_text(uint64_t done, uint64_t all, char out[BAR_SIGNS + 1]);
/* "1:02:03" or "2:03", at most 99:59:59; gives out. */
const char *duration_text(double seconds, char out[DURATION_TEXT]);

#endif
