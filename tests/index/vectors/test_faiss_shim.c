/* test_faiss_shim.c - the C API's bodies, their refusals, and HNSW over borrowed rows against exact search. */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "index/vectors/faiss_shim.h"
#include "index/vectors/scan.h"
#include "tests/lib/vectors.h"

enum { N = 2000, D = 32, K = 10, M = 8 };

struct rows {
    float *data;
    const float **at; /* in an order of their own, as chunks would have them */
};

static int make_rows(void **state)
{
    static struct rows r;
    r.data = vectors_clustered(4, N, D, 40, 0.7);
    r.at = mem_new(N, sizeof *r.at);
    for (size_t i = 0; i < N; i++)
        r.at[i] = r.data + (i * 7 % N) * D;
    *state = &r;
    return 0;
}

static int free_rows(void **state)
{
    struct rows *r = *state;
    free(r->data);
    free(r->at);
    return 0;
}

static FaissIndex *index_over(const struct rows *r, size_t n)
{
    FaissIndex *index = NULL;
    assert_int_equal(faiss_IndexHNSWRows_new(&index, D, M, 60, n), OK);
    assert_int_equal(faiss_IndexHNSWRows_add(index, (idx_t)n / 2, r->at), OK);
    assert_int_equal(faiss_IndexHNSWRows_add(index, (idx_t)(n - n / 2), r->at + n / 2), OK);
    return index;
}

typedef bool choice(size_t row);

static bool every(size_t row)
{
    UNUSED(row);
    return true;
}

static bool every_third(size_t row)
{
    return row % 3 == 0;
}

static int ask_choice(const void *context, idx_t row)
{
    choice *const *c = context;
    return (*c)((size_t)row);
}

/* How many of the K nearest of the chosen rows are among the labels. */
static size_t hits(const struct rows *r, const float *query, choice *chosen, const idx_t *labels)
{
    struct top top;
    size_t found = 0;
    top_init(&top, K, NULL, NULL);
    for (size_t i = 0; i < N; i++)
        if (chosen(i))
            top_offer(&top, scan_product(r->at[i], query, D), i);
    top_sort(&top);
    for (size_t i = 0; i < top.n; i++)
        for (size_t k = 0; k < K; k++)
            found += labels[k] == (idx_t)top.items[i].slot;
    top_clear(&top);
    return found;
}

/* Mean recall of K; every label must be chosen, every score right. */
static double recall(const struct rows *r, const FaissIndex *index, choice *chosen, int ef)
{
    FaissSearchParametersHNSW *params;
    FaissIDSelector *selector = NULL;
    size_t found = 0;
    enum { QUERIES = 100 };
    assert_int_equal(faiss_IDSelectorCall_new(&selector, ask_choice, &chosen), OK);
    assert_int_equal(faiss_SearchParametersHNSW_new_with(&params, chosen == every ? NULL : selector, ef), OK);
    for (size_t i = 0; i < QUERIES; i++) {
        float query[D], scores[K];
        idx_t labels[K];
        vectors_near(900 + i, r->at[i * 13], D, 0.5, query);
        assert_int_equal(faiss_Index_search_with_params(index, 1, query, K, params, scores, labels), OK);
        for (size_t k = 0; k < K; k++) {
            assert_in_range(labels[k], 0, N - 1);
            assert_true(chosen((size_t)labels[k]));
            float exact = scan_product(r->at[labels[k]], query, D);
            assert_memory_equal(&scores[k], &exact, sizeof exact);
            assert_true(k == 0 || scores[k] <= scores[k - 1]);
        }
        found += hits(r, query, chosen, labels);
    }
    faiss_SearchParametersHNSW_free(params);
    faiss_IDSelector_free(selector);
    return (double)found / (QUERIES * K);
}

static void hnsw_finds_nearly_all_of_the_nearest_and_more_with_a_higher_ef(void **state)
{
    FaissIndex *index = index_over(*state, N);
    double low = recall(*state, index, every, 10), high = recall(*state, index, every, 100);
    assert_true(high >= 0.98);
    assert_true(low < high);
    faiss_Index_free(index);
}

static void a_selector_costs_no_recall(void **state)
{
    FaissIndex *index = index_over(*state, N);
    assert_true(recall(*state, index, every_third, 60) >= 0.97);
    faiss_Index_free(index);
}

static void a_copied_graph_answers_the_same_and_can_grow(void **state)
{
    const struct rows *r = *state;
    FaissIndex *index = index_over(r, N / 2), *copy = NULL;
    struct faiss_graph graph;
    assert_int_equal(faiss_IndexHNSWRows_graph(index, &graph), OK);
    assert_int_equal(faiss_IndexHNSWRows_new_from(&copy, D, M, 60, 0, &graph, r->at), OK);
    float s[K], t[K];
    idx_t a[K], b[K];
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(faiss_Index_search_with_params(index, 1, r->at[i], K, NULL, s, a), OK);
        assert_int_equal(faiss_Index_search_with_params(copy, 1, r->at[i], K, NULL, t, b), OK);
        assert_memory_equal(a, b, sizeof a);
        assert_memory_equal(s, t, sizeof s);
    }
    faiss_Index_free(index);
    assert_int_equal(faiss_IndexHNSWRows_add(copy, N - N / 2, r->at + N / 2), OK);
    assert_true(recall(r, copy, every, 100) >= 0.98);
    faiss_Index_free(copy);
}

/* As of an encoder that was hardly trained: the cosine of any two is above 0.99. */
static void vectors_that_hardly_differ_are_told_apart(void **state)
{
    const struct rows *r = *state;
    struct rows close = {mem_aligned(N * D, sizeof(float)), mem_new(N, sizeof *close.at)};
    for (size_t i = 0; i < N; i++) {
        float shifted[D];
        for (size_t k = 0; k < D; k++)
            shifted[k] = r->at[i][k] * 0.05F + (k % 2 ? 0.1F : 0.2F);
        vectors_near(0, shifted, D, 0, close.data + i * D); /* at unit length */
        close.at[i] = close.data + i * D;
    }
    assert_true(scan_product(close.at[3], close.at[4], D) > 0.99F);
    FaissIndex *index = index_over(&close, N);
    size_t found = 0;
    for (size_t i = 0; i < 100; i++) {
        float scores[K];
        idx_t labels[K];
        assert_int_equal(faiss_Index_search_with_params(index, 1, close.at[i * 11], K, NULL, scores, labels), OK);
        found += hits(&close, close.at[i * 11], every, labels);
    }
    assert_true(found >= 980);
    faiss_Index_free(index);
    free(close.data);
    free(close.at);
}

static void an_empty_index_answers_nothing(void **state)
{
    UNUSED(state);
    FaissIndex *index, *copy;
    struct faiss_graph graph;
    float query[D] = {1}, scores[2];
    idx_t labels[2] = {7, 7};
    assert_int_equal(faiss_IndexHNSWRows_new(&index, D, M, 60, 0), OK);
    assert_int_equal(faiss_Index_search_with_params(index, 1, query, 2, NULL, scores, labels), OK);
    assert_int_equal(labels[0], -1);
    assert_int_equal(labels[1], -1);
    assert_int_equal(faiss_IndexHNSWRows_graph(index, &graph), OK);
    assert_int_equal(faiss_IndexHNSWRows_new_from(&copy, D, M, 60, 0, &graph, NULL), OK);
    faiss_Index_free(index);
    faiss_Index_free(copy);
}

/* ---- refusals ---- */

/* A graph with one thing wrong must be refused. */
static void refuse_graph(const struct rows *r, const struct faiss_graph *graph, const char *what)
{
    FaissIndex *index = NULL;
    if (faiss_IndexHNSWRows_new_from(&index, D, M, 60, 0, graph, r->at) == OK)
        fail_msg("%s is accepted", what);
    assert_null(index);
    assert_true(strlen(faiss_get_last_error()) > 0);
}

static void damaged_graphs_are_refused(void **state)
{
    const struct rows *r = *state;
    FaissIndex *index = index_over(r, 300);
    struct faiss_graph good;
    assert_int_equal(faiss_IndexHNSWRows_graph(index, &good), OK);
    int32_t *levels = mem_dup(good.levels, good.n * sizeof *levels);
    int32_t *links = mem_dup(good.links, good.n_links * sizeof *links);
    struct faiss_graph bad = {good.n, good.n_links, levels, links, good.entry};
    int32_t low = 0, saved = links[0], last;
    while (levels[low] > 1)
        low++;
#define REFUSE(what, change, undo)                                                                                     \
    do {                                                                                                               \
        change;                                                                                                        \
        refuse_graph(r, &bad, what);                                                                                   \
        undo;                                                                                                          \
    } while (0)
    REFUSE("a link past the end", links[0] = (int32_t)good.n, links[0] = saved);
    REFUSE("a link before the beginning", links[0] = -2, links[0] = saved);
    REFUSE("a huge link", links[0] = INT32_MAX, links[0] = saved);
    REFUSE("a gap between links", links[0] = -1, links[0] = saved);
    REFUSE("level 0", levels[low] = 0, levels[low] = 1);
    REFUSE("a negative level", levels[low] = INT32_MIN, levels[low] = 1);
    REFUSE("a level too many", levels[low] = 2, levels[low] = 1);
    REFUSE("a level beyond all", levels[low] = INT32_MAX, levels[low] = 1);
    REFUSE("too few links", bad.n_links--, bad.n_links++);
    REFUSE("an entry past the end", bad.entry = (int32_t)good.n, bad.entry = good.entry);
    REFUSE("no entry", bad.entry = -1, bad.entry = good.entry);
    REFUSE("an entry on a low level", bad.entry = low, bad.entry = good.entry);
    size_t upper = 0; /* the first link on level 1 leads to a row that is not there */
    int32_t row = 0;
    for (; levels[row] < 2; row++)
        upper += (size_t)M * (size_t)(levels[row] + 1);
    last = links[upper + 2 * M];
    REFUSE("a link between levels", links[upper + 2 * M] = low, links[upper + 2 * M] = last);
    assert_int_equal(faiss_IndexHNSWRows_new_from(&(FaissIndex *){NULL}, D, 1, 60, 0, &good, r->at), FAISS_EXCEPT);
    FaissIndex *copy = NULL;
    assert_int_equal(faiss_IndexHNSWRows_new_from(&copy, D, M, 60, 0, &bad, r->at), OK); /* all was undone */
    faiss_Index_free(copy);
    faiss_Index_free(index);
    free(levels);
    free(links);
}

static void bad_arguments_are_refused_with_a_reason(void **state)
{
    const struct rows *r = *state;
    FaissIndex *index = index_over(r, 100), *none = NULL;
    FaissSearchParametersHNSW *params;
    FaissIDSelector *selector;
    float nan[D] = {NAN}, inf[D] = {INFINITY}, scores[K];
    const float *nan_row = nan;
    idx_t labels[K];
    assert_int_not_equal(faiss_Index_search_with_params(NULL, 1, r->data, K, NULL, scores, labels), OK);
    assert_int_not_equal(faiss_Index_search_with_params(index, 1, r->data, 0, NULL, scores, labels), OK);
    assert_int_not_equal(faiss_Index_search_with_params(index, 1, r->data, -1, NULL, scores, labels), OK);
    assert_int_not_equal(faiss_Index_search_with_params(index, -1, r->data, K, NULL, scores, labels), OK);
    assert_int_not_equal(faiss_Index_search_with_params(index, 1, NULL, K, NULL, scores, labels), OK);
    assert_int_not_equal(faiss_Index_search_with_params(index, 1, r->data, K, NULL, NULL, labels), OK);
    assert_int_not_equal(faiss_Index_search_with_params(index, 1, nan, K, NULL, scores, labels), OK);
    assert_int_not_equal(faiss_Index_search_with_params(index, 1, inf, K, NULL, scores, labels), OK);
    assert_string_not_equal(faiss_get_last_error(), "");
    assert_int_not_equal(faiss_IndexHNSWRows_add(index, 1, &nan_row), OK);
    assert_int_not_equal(faiss_IndexHNSWRows_add(index, -1, r->at), OK);
    assert_int_not_equal(faiss_IndexHNSWRows_new(&none, 0, M, 60, 0), OK);
    assert_int_not_equal(faiss_IndexHNSWRows_new(&none, D, 1, 60, 0), OK);
    assert_int_not_equal(faiss_IndexHNSWRows_new(&none, D, M, 0, 0), OK);
    assert_int_not_equal(faiss_SearchParametersHNSW_new_with(&params, NULL, 0), OK);
    assert_int_not_equal(faiss_IDSelectorCall_new(&selector, NULL, NULL), OK);
    assert_null(none);
    faiss_Index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hnsw_finds_nearly_all_of_the_nearest_and_more_with_a_higher_ef),
        cmocka_unit_test(a_selector_costs_no_recall),
        cmocka_unit_test(a_copied_graph_answers_the_same_and_can_grow),
        cmocka_unit_test(vectors_that_hardly_differ_are_told_apart),
        cmocka_unit_test(an_empty_index_answers_nothing),
        cmocka_unit_test(damaged_graphs_are_refused),
        cmocka_unit_test(bad_arguments_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, make_rows, free_rows);
}
