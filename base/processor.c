/* processor.c - reads /proc/cpuinfo. */
#include "base/processor.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

static const char *const features[] = {" avx2 ",        " fma ",      " avx512f ", " avx512_vnni ",
                                       " avx512_bf16 ", " amx_tile ", " amx_bf16 "};

/* What follows "KEY : " when the line is about that key. */
static char *value_of(char *line, const char *key)
{
    char *colon = strchr(line, ':');
    if (!colon || strncmp(line, key, strlen(key)) != 0)
        return NULL;
    line[strcspn(line, "\n")] = 0;
    return colon[1] == ' ' ? colon + 2 : colon + 1;
}

static void add_features(const char *flags, char *out)
{
    char spaced[8192];
    snprintf(spaced, sizeof spaced, " %s ", flags);
    for (size_t i = 0; i < COUNT(features); i++) {
        size_t used = strlen(out);
        if (strstr(spaced, features[i]))
            snprintf(out + used, PROCESSOR_TEXT - used, "%.*s", (int)strlen(features[i]) - 1, features[i]);
    }
}

void processor_describe(char out[PROCESSOR_TEXT])
{
    char line[8192], *value;
    FILE *f = fopen("/proc/cpuinfo", "r");
    strcpy(out, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        if ((value = value_of(line, "model name")))
            snprintf(out, PROCESSOR_TEXT, "%.100s:", value);
        if ((value = value_of(line, "flags"))) {
            add_features(value, out);
            break;
        }
    }
    if (f)
        fclose(f);
}
