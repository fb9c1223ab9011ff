/* processor.h - what processor this is, as far as it decides how fast and how exactly things are computed. */
#ifndef ANCHORD_BASE_PROCESSOR_H
#define ANCHORD_BASE_PROCESSOR_H

enum { PROCESSOR_TEXT = 192 };

/* "AMD EPYC: avx2 fma avx512f avx512_bf16": the model and those of its features that matter here, as Linux lists
 * them; "unknown" where it lists nothing. */
void processor_describe(char out[PROCESSOR_TEXT]);

#endif
