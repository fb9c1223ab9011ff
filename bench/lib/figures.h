/* figures.h - the table that benches print: what was measured, beside what, and whether it is what is wanted.
 *
 *     figures_begin("embedding over HTTP");          names the processor once, then the table's head
 *     figure("8 connections, ResNet-18", "images/s", rate, "the engine itself", limit, AT_LEAST, 0.75);
 *
 * The ratio of the two figures of one run is what counts: it moves less than they do.
 */
#ifndef ANCHORD_BENCH_LIB_FIGURES_H
#define ANCHORD_BENCH_LIB_FIGURES_H

enum wanted { AT_LEAST, AT_MOST, JUST_TOLD };

void figures_begin(const char *heading);
/* `beside` NULL: there is nothing to compare with, and `bound` is of the figure itself. */
void figure(const char *what, const char *unit, double value, const char *beside, double other, enum wanted wanted,
            double bound);
/* Figures so far that are not what is wanted. */
int figures_missed(void);

#endif
