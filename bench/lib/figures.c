/* figures.c - the table that benches print. */
#include "bench/lib/figures.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cores.h"

static int missed;

static void name_processor(void)
{
    static const char *const features[] = {"avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"};
    char line[8192] = "", model[128] = "unknown";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f) && strncmp(line, "flags", 5) != 0)
        if (strncmp(line, "model name", 10) == 0)
            snprintf(model, sizeof model, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"), strchr(line, ':') + 2);
    if (f)
        fclose(f);
    printf("processor: %s, %zu cores;", model, cores_usable());
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        char word[32];
        snprintf(word, sizeof word, " %s ", features[i]);
        printf("%s%s", strstr(line, word) ? " " : " no ", features[i]);
    }
    printf("\n");
}

void figures_begin(const char *heading)
{
    static int named;
    if (!named++)
        name_processor();
    printf("\n%s\n  %-54s %16s   %-34s %16s %8s  %s\n", heading, "", "measured", "beside", "", "ratio", "wanted");
}

void figure(const char *what, const char *unit, double value, const char *beside, double other, enum wanted wanted,
            double bound)
{
    char left[40], right[40] = "", ratio[16] = "", want[32] = "";
    double judged = beside ? (other > 0 ? value / other : 0) : value;
    bool good = wanted == JUST_TOLD || (wanted == AT_LEAST ? judged >= bound : judged <= bound);
    snprintf(left, sizeof left, "%.*f %s", value < 100 ? 2 : 0, value, unit);
    if (beside) {
        snprintf(right, sizeof right, "%.*f %s", other < 100 ? 2 : 0, other, unit);
        snprintf(ratio, sizeof ratio, "%.2f", judged);
    }
    if (wanted != JUST_TOLD)
        snprintf(want, sizeof want, "%s %g", wanted == AT_LEAST ? ">=" : "<=", bound);
    missed += !good;
    printf("%s %-54s %16s   %-34s %16s %8s  %s\n", good ? " " : "!", what, left, beside ? beside : "", right, ratio,
           want);
    fflush(stdout);
}

int figures_missed(void)
{
    return missed;
}
