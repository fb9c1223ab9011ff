/* transfer.h - how well an encoder serves pictures that it was not trained on: the protocol of Ericsson et al. 2021, "How Well Do
 * Self-Supervised Models Transfer?" (arXiv:2011.13377), on one data set.
 *
 *     struct transfer t = transfer_measure(&(struct transfer_input){.x = x, .labels = labels, .n_train = 800, .n = 1000, ...});
 *
 * Many-shot is a linear classifier on all training pictures (probe.h), its penalty chosen on a fifth of them.  Few-shot
 * is 5-way 5-shot, over 600 episodes of all pictures.  kNN votes among the training pictures.  Features are vectors as
 * they are served.
 */
#ifndef ANCHORD_ENGINE_JUDGING_TRANSFER_H
#define ANCHORD_ENGINE_JUDGING_TRANSFER_H

#include "engine/judging/probe.h"

enum { TRANSFER_WAYS = 5, TRANSFER_SHOTS = 5, TRANSFER_EPISODES = 600, TRANSFER_NEIGHBOURS = 20 };

struct transfer_input {    /* all borrowed */
    const float *x;        /* [n, d], unit rows: first those to train on, then those to test on */
    const int32_t *labels; /* [n], 0 .. classes - 1 */
    size_t n_train, n, d, classes;
    double knn_temperature; /* of kNN's votes; 0: 0.07 */
    uint64_t seed;
};

struct transfer {
    struct linear_probe many_shot;
    struct few_shot few_shot; /* episodes 0: too few classes with enough pictures, of which it has the number */
    double knn;               /* accuracy of 20 neighbours */
};
struct transfer transfer_measure(const struct transfer_input *in);

struct transfer_mean { /* over data sets */
    double many_shot, few_shot, knn;
    size_t n, n_few_shot; /* few_shot is over those that have it; 0: none */
};
struct transfer_mean transfer_average(const struct transfer *t, size_t n);

#endif
