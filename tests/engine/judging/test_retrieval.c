/* test_retrieval.c - the figures that judge an encoder, against hand-made tables and float64 oracles. */
#include "tests/t.h"

#include "engine/judging/retrieval.h"
#include "engine/kernels/spread.h"
#include "tests/lib/oracle.h"

/* Points on a line as unit vectors on a short arc: the order by cosine is the order by distance. */
static void retrieval_figures_equal_the_hand_table(void **state)
{
    UNUSED(state);
    float points[8], labels[8], unit[16];
    int32_t ids[8];
    int8_t hits[8];
    size_t d, n = oracle_rows(oracle_input("retrieval_metrics", "embeddings"), points, &d);
    oracle_rows(oracle_input("retrieval_metrics", "labels"), labels, &d);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)labels[i];
        unit[2 * i] = cosf(points[i] * 0.05f);
        unit[2 * i + 1] = sinf(points[i] * 0.05f);
    }
    struct retrieval r = retrieval_measure(unit, n, 2, ids, hits);
    const struct json *want = json_member(oracle_case("retrieval_metrics"), "intermediates");
    assert_int_equal(r.queries, n);
    assert_true(fabs(r.recall_1 - oracle_number(want, "recall_at_1")) < 1e-9);
    assert_true(fabs(r.r_precision - oracle_number(want, "r_precision")) < 1e-9);
    assert_true(fabs(r.map_r - oracle_number(want, "map_at_r")) < 1e-9);
    assert_true(r.recall_5 == 1);
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += hits[i];
    assert_int_equal(sum, 3);
}

static void a_lone_label_is_no_query_and_duplicates_do_not_hide_the_query_itself(void **state)
{
    UNUSED(state);
    const float unit[8] = {1, 0, 1, 0, 1, 0, 0, 1};
    const int32_t labels[4] = {0, 0, 1, 2};
    int8_t hits[4];
    struct retrieval r = retrieval_measure(unit, 4, 2, labels, hits);
    assert_int_equal(r.queries, 2);
    assert_true(hits[0] == 1 && hits[1] == 1 && hits[2] == -1 && hits[3] == -1);
}

static void knn_votes_by_similarity(void **state)
{
    UNUSED(state);
    float bank[16], queries[8], raw[8];
    int32_t labels[8], want[2] = {0, 2};
    size_t d, n = oracle_rows(oracle_input("knn_weighted", "bank"), bank, &d);
    size_t m = oracle_rows(oracle_input("knn_weighted", "queries"), queries, &d);
    oracle_rows(oracle_input("knn_weighted", "bank_labels"), raw, &(size_t){0});
    for (size_t i = 0; i < n; i++)
        labels[i] = (int32_t)raw[i];
    assert_true(knn_accuracy(bank, labels, n, queries, want, m, d, 3, 0.07) == 1);
    want[1] = 1;
    assert_true(knn_accuracy(bank, labels, n, queries, want, m, d, 3, 0.07) == 0.5);
}

/* Random unit rows around the axis of their label, more than one block of them. */
static void make_rows(float *x, int32_t *labels, size_t n, size_t d, size_t classes, uint64_t seed)
{
    struct rng r = rng_new(seed);
    for (size_t i = 0; i < n; i++) {
        double norm = 0;
        labels[i] = (int32_t)rng_below(&r, classes);
        for (size_t k = 0; k < d; k++) {
            x[i * d + k] = (float)(rng_normal(&r) * 0.6 + (k == (size_t)labels[i]));
            norm += (double)x[i * d + k] * (double)x[i * d + k];
        }
        for (size_t k = 0; k < d; k++)
            x[i * d + k] = (float)((double)x[i * d + k] / sqrt(norm));
    }
}

static float product(const float *a, const float *b, size_t d)
{
    double sum = 0;
    for (size_t k = 0; k < d; k++)
        sum += (double)a[k] * (double)b[k];
    return (float)sum;
}

/* How many rows but `self` are nearer to q than row i. */
static size_t place_of(const float *x, size_t n, size_t d, const float *q, size_t self, size_t i)
{
    size_t place = 0;
    for (size_t j = 0; j < n; j++)
        place += j != self && j != i && product(x + j * d, q, d) > product(x + i * d, q, d);
    return place;
}

static void figures_of_many_rows_equal_those_of_counting_places(void **state)
{
    UNUSED(state);
    enum { N = 300, D = 12, CLASSES = 9, K = 25 };
    static float x[N * D], bank[N * D];
    static int32_t labels[N], bank_labels[N];
    double recall[3] = {0}, r_precision = 0, map = 0, right = 0;
    make_rows(x, labels, N, D, CLASSES, 1);
    make_rows(bank, bank_labels, N, D, CLASSES, 2);
    for (size_t q = 0; q < N; q++) {
        bool at[N] = {0};
        double votes[CLASSES] = {0}, precision = 0;
        size_t related = 0, found = 0, best = 0;
        for (size_t i = 0; i < N; i++) {
            const size_t place = place_of(bank, N, D, x + q * D, N, i);
            if (place < K)
                votes[bank_labels[i]] += exp((double)product(bank + i * D, x + q * D, D) / 0.07);
            if (i != q && labels[i] == labels[q])
                at[place_of(x, N, D, x + q * D, q, i)] = ++related;
        }
        for (size_t i = 0; i < related; i++)
            if (at[i])
                precision += (double)++found / (double)(i + 1);
        for (size_t i = 0; i < 10; i++)
            for (size_t k = 0; k < 3 && at[i]; k++)
                if (i < (size_t[]){1, 5, 10}[k] && !memchr(at, 1, i))
                    recall[k]++;
        for (size_t c = 1; c < CLASSES; c++)
            best = votes[c] > votes[best] ? c : best;
        right += (int32_t)best == labels[q];
        r_precision += (double)found / (double)related;
        map += precision / (double)related;
    }
    const struct retrieval r = retrieval_measure(x, N, D, labels, NULL);
    assert_true(fabs(r.recall_1 - recall[0] / N) < 1e-9 && fabs(r.recall_5 - recall[1] / N) < 1e-9 &&
                fabs(r.recall_10 - recall[2] / N) < 1e-9);
    assert_true(fabs(r.r_precision - r_precision / N) < 1e-9 && fabs(r.map_r - map / N) < 1e-9);
    assert_true(r.recall_1 > 0.2 && r.recall_1 < 0.9);
    assert_true(fabs(knn_accuracy(bank, bank_labels, N, x, labels, N, D, K, 0.07) - right / N) < 1e-9);
    size_t nearest[K];
    assert_int_equal(nearest_rows(x, N, D, 7, K, nearest), K);
    for (size_t i = 0; i < K; i++)
        assert_int_equal(place_of(x, N, D, x + 7 * D, 7, nearest[i]), i);
    assert_int_equal(nearest_rows(x, 4, D, 2, K, nearest), 3);
}

static void spread_and_rank_of_many_rows_equal_those_of_pairs_and_copies(void **state)
{
    UNUSED(state);
    enum { N = 300, D = 12 };
    static float x[2 * N * D];
    static int32_t labels[N];
    double sum = 0;
    make_rows(x, labels, N, D, 9, 3);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < i; j++)
            sum += exp(4 * (double)product(x + i * D, x + j * D, D) - 4);
    assert_true(fabs(uniformity(x, N, D) - log(sum / (N * (N - 1) / 2.0))) < 1e-5);
    memcpy(x + N * D, x, N * D * sizeof *x);
    assert_true(fabs(effective_rank(x, 2 * N, D) - effective_rank(x, N, D)) < 1e-6);
    assert_true(fabs(rank_me(x, 2 * N, D) - rank_me(x, N, D)) < 1e-6);
    assert_true(effective_rank(x, N, D) > 9 && effective_rank(x, N, D) < 12);
}

static void alignment_and_uniformity_equal_the_oracle(void **state)
{
    UNUSED(state);
    float x[8], y[8];
    size_t d, n = oracle_rows(oracle_input("align_uniform", "x"), x, &d);
    oracle_rows(oracle_input("align_uniform", "y"), y, &d);
    const struct json *want = json_member(oracle_case("align_uniform"), "intermediates");
    assert_true(fabs(alignment(x, y, n, d) - oracle_number(want, "alignment")) < 1e-6);
    assert_true(fabs(uniformity(x, n, d) - oracle_number(want, "uniformity")) < 1e-5);
}

static void the_collapse_signs_equal_the_oracles(void **state)
{
    UNUSED(state);
    float z[32];
    size_t d, n = oracle_rows(oracle_input("collapse_std", "z"), z, &d);
    assert_true(fabs(unit_std(z, n, d) -
                     oracle_number(json_member(oracle_case("collapse_std"), "intermediates"), "value")) < 1e-6);
    n = oracle_rows(oracle_input("rankme", "embeddings"), z, &d);
    assert_true(fabs(rank_me(z, n, d) - oracle_number(json_member(oracle_case("rankme"), "intermediates"), "rankme")) <
                1e-5);
}

static void collapse_is_seen_in_rank_and_spread(void **state)
{
    UNUSED(state);
    enum { N = 200, D = 16 };
    static float wide[N * D], line[N * D], point[N * D];
    struct rng r = rng_new(3);
    for (size_t i = 0; i < N; i++) {
        float along = (float)rng_normal(&r);
        for (size_t k = 0; k < D; k++) {
            wide[i * D + k] = (float)rng_normal(&r);
            line[i * D + k] = along * (float)(k + 1) + (k == 0 ? 50.0f : 0.0f); /* off the centre */
            point[i * D + k] = 1;
        }
    }
    assert_true(effective_rank(wide, N, D) > 14 && rank_me(wide, N, D) > 14);
    assert_true(effective_rank(line, N, D) < 1.01);
    assert_true(effective_rank(point, N, D) < 1.01 && unit_std(point, N, D) < 1e-6);
    assert_true(fabs(unit_std(wide, N, D) - 0.25) < 0.02);
}

static void the_bootstrap_interval_holds_the_gain_and_is_reproducible(void **state)
{
    UNUSED(state);
    enum { N = 400 };
    int8_t before[N], after[N];
    struct rng r = rng_new(8);
    for (size_t i = 0; i < N; i++) {
        before[i] = (int8_t)(rng_unit(&r) < 0.5);
        after[i] = (int8_t)(i % 10 == 0 ? 1 : before[i]);
    }
    before[3] = -1;
    struct interval a = paired_bootstrap(before, after, N, 1000, 1), b = paired_bootstrap(before, after, N, 1000, 1);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.low > 0 && a.low < a.mean && a.mean < a.high && a.high < 0.12);
    struct interval none = paired_bootstrap(before, before, N, 1000, 1);
    assert_true(none.low == 0 && none.high == 0);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retrieval_figures_equal_the_hand_table),
        cmocka_unit_test(a_lone_label_is_no_query_and_duplicates_do_not_hide_the_query_itself),
        cmocka_unit_test(knn_votes_by_similarity),
        cmocka_unit_test(figures_of_many_rows_equal_those_of_counting_places),
        cmocka_unit_test(spread_and_rank_of_many_rows_equal_those_of_pairs_and_copies),
        cmocka_unit_test(alignment_and_uniformity_equal_the_oracle),
        cmocka_unit_test(the_collapse_signs_equal_the_oracles),
        cmocka_unit_test(collapse_is_seen_in_rank_and_spread),
        cmocka_unit_test(the_bootstrap_interval_holds_the_gain_and_is_reproducible),
    };
    return cmocka_run_group_tests(tests, oracle_load, oracle_free);
}
