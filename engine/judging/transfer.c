/* transfer.c - three classifiers on the same features. */
#include "engine/judging/transfer.h"

#include "engine/judging/retrieval.h"

enum { GRID = 9 }; /* penalties, a decade apart */

struct transfer transfer_measure(const struct transfer_input *in)
{
    const float *test = in->x + in->n_train * in->d;
    const struct features all = {in->x, in->labels, in->n, in->d, in->classes};
    const struct features bank = {in->x, in->labels, in->n_train, in->d, in->classes};
    const struct features rest = {test, in->labels + in->n_train, in->n - in->n_train, in->d, in->classes};
    double temperature = in->knn_temperature > 0 ? in->knn_temperature : 0.07;
    return (struct transfer){
        .many_shot = linear_probe(&bank, &rest, GRID, in->seed),
        .few_shot = few_shot(&all, TRANSFER_WAYS, TRANSFER_SHOTS, TRANSFER_EPISODES, in->seed),
        .knn = knn_accuracy(bank.x, bank.labels, bank.n, rest.x, rest.labels, rest.n, in->d, TRANSFER_NEIGHBOURS,
                            temperature),
    };
}

struct transfer_mean transfer_average(const struct transfer *t, size_t n)
{
    struct transfer_mean m = {.n = n};
    for (size_t i = 0; i < n; i++) {
        m.many_shot += t[i].many_shot.accuracy / (double)n;
        m.knn += t[i].knn / (double)n;
        m.few_shot += t[i].few_shot.accuracy; /* 0 where there is none */
        m.n_few_shot += t[i].few_shot.episodes > 0;
    }
    m.few_shot /= m.n_few_shot ? (double)m.n_few_shot : 1;
    return m;
}
