/* processor.h - what a figure was measured on. */
#ifndef ANCHORD_BENCH_LIB_PROCESSOR_H
#define ANCHORD_BENCH_LIB_PROCESSOR_H

/* Prints one line to standard output: the cores, and those features that our loops and libraries use. */
void processor_print(void);

#endif
