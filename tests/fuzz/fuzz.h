/* fuzz.h - what each fuzz target defines.
 *
 * tests/fuzz/fuzz_<name>.c holds one target; its seeds and past findings lie in tests/fuzz/corpus/<name>/.
 * `make fuzz T=<name> S=60` runs it for a minute under clang's libFuzzer with ASan and UBSan; `make test`
 * builds it with any compiler and replays the corpus (replay.c).  Targets keep no state between inputs.
 */
#ifndef ANCHORD_TESTS_FUZZ_H
#define ANCHORD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Takes any bytes; gives 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold for every input. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
