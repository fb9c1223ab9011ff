/* processor.c - the processor's features, as Linux lists them. */
#include "tests/lib/processor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"

void processor_print(void)
{
    static const char *const features[] = {" avx2 ", " fma ", " avx512f ", " avx512_vnni ", " avx512_bf16 ",
                                           " amx_tile ", " amx_bf16 "};
    char line[8192];
    FILE *f = fopen("/proc/cpuinfo", "r");
    printf("processor: %ld cores,", sysconf(_SC_NPROCESSORS_ONLN));
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "flags", 5) != 0)
            continue;
        line[strcspn(line, "\n")] = ' ';
        for (size_t i = 0; i < COUNT(features); i++)
            if (strstr(line, features[i]))
                printf("%.*s", (int)strlen(features[i]) - 1, features[i]);
        break;
    }
    if (f)
        fclose(f);
    printf("\n");
}
