/* processor.c - one line about the machine, above the figures of a bench. */
#include "bench/lib/processor.h"

#include <stdio.h>

#include "base/cores.h"
#include "base/processor.h"

void processor_print(void)
{
    char text[PROCESSOR_TEXT];
    processor_describe(text);
    printf("processor: %zu cores, %s\n", cores_usable(), text);
}
