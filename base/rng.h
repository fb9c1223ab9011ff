/* rng.h - random numbers that are the same everywhere: xoshiro256** seeded by splitmix64.
 *
 * (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018.)  A generator is a value:
 * copy it to fork, store it to checkpoint.  rng_for() gives an independent stream for each (seed, a, b),
 * so that sample 17 of epoch 3 sees the same numbers whatever thread draws it.
 */
#ifndef ANCHORD_BASE_RNG_H
#define ANCHORD_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

struct rng rng_new(uint64_t seed);
struct rng rng_for(uint64_t seed, uint64_t a, uint64_t b);
uint64_t rng_next(struct rng *r);
double rng_unit(struct rng *r);                /* [0, 1), 53 bits */
uint64_t rng_below(struct rng *r, uint64_t n); /* [0, n), without bias; n > 0 */
double rng_between(struct rng *r, double lo, double hi);
double rng_normal(struct rng *r); /* mean 0, variance 1 (Box and Muller) */

#endif
