/* bar.c - signs and digits. */
#include "server/commands/bar.h"

#include <stdio.h>

const char *bar_text(uint64_t done, uint64_t all, char out[BAR_SIGNS + 1])
{
    for (uint64_t i = 0; i < BAR_SIGNS; i++)
        out[i] = done * BAR_SIGNS > i * all ? '#' : '.';
    out[BAR_SIGNS] = 0;
    return out;
}

const char *duration_text(double seconds, char out[DURATION_TEXT])
{
    long s = seconds < 359999 ? (long)(seconds + 0.5) : 359999;
    if (s >= 3600)
        snprintf(out, DURATION_TEXT, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, DURATION_TEXT, "%ld:%02ld", s / 60, s % 60);
    return out;
}
