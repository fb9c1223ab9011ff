/* lbfgs.h - minimising a smooth function by L-BFGS (Nocedal 1980) with a backtracking line search. */
#ifndef ANCHORD_ENGINE_JUDGING_LBFGS_H
#define ANCHORD_ENGINE_JUDGING_LBFGS_H

#include <stddef.h>

/* The value at x [n]; fills gradient [n]. */
typedef double lbfgs_function(const double *x, double *gradient, size_t n, void *context);

struct lbfgs_report {
    double value, gradient_norm; /* the largest component of the gradient */
    size_t iterations, evaluations;
};

/* From x, which ends as the best point found.  Stops when no component of the gradient exceeds `tolerance`, after
 * `iterations`, or when the line search can go no lower. */
struct lbfgs_report lbfgs_minimise(lbfgs_function *f, void *context, double *x, size_t n, double tolerance,
                                   size_t iterations);

#endif
