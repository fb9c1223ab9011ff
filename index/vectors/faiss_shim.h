/* faiss_shim.h - what FAISS's C API lacks and its C++ can: search with parameters, and HNSW over borrowed rows.
 *
 * The C API's own headers are included here, so that this is all that a user of FAISS needs.  Debian ships those
 * headers without the code behind them.  So faiss_shim.cc has the bodies of the functions that are called here, unless
 * a system libfaiss_c is linked.
 *
 *     FaissIndex *index = NULL;
 *     if (faiss_IndexHNSWRows_new(&index, d, 32, 100, n) || faiss_IndexHNSWRows_add(index, n, rows))
 *         puts(faiss_get_last_error());
 *     faiss_Index_search_with_params(index, 1, query, 10, NULL, scores, labels);
 *     faiss_Index_free(index);
 *
 * As everywhere in the C API: 0 is success, otherwise faiss_get_last_error() tells, until this thread's next
 * call.  No exception leaves.  Searches may run side by side; nothing may run beside an add.
 *
 * HNSW: Malkov and Yashunin 2018, "Efficient and robust approximate nearest neighbor search using
 * hierarchical navigable small world graphs", arXiv:1603.09320.
 */
#ifndef ANCHORD_INDEX_VECTORS_FAISS_SHIM_H
#define ANCHORD_INDEX_VECTORS_FAISS_SHIM_H

#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/impl/AuxIndexStructures_c.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- under the names that later releases of the C API have ---- */

FAISS_DECLARE_CLASS(SearchParameters)
typedef struct FaissSearchParameters_H FaissSearchParametersHNSW;

/* `sel` (NULL: everything) is borrowed for as long as the parameters live. */
int faiss_SearchParametersHNSW_new_with(FaissSearchParametersHNSW **p_params, FaissIDSelector *sel, int efSearch);
void faiss_SearchParametersHNSW_free(FaissSearchParametersHNSW *params);

/* x [n, d]; distances and labels [n, k], best first, filled up with -1 where fewer were found.  On plain HNSW
 * indexes release 1.7.3 heeds the selector but not efSearch. */
int faiss_Index_search_with_params(const FaissIndex *index, idx_t n, const float *x, idx_t k,
                                   const FaissSearchParameters *params, float *distances, idx_t *labels);

/* ---- ours ---- */

/* A selector that asks the caller; to be freed by faiss_IDSelector_free(). */
typedef int faiss_member_fn(const void *context, idx_t id);
int faiss_IDSelectorCall_new(FaissIDSelector **p_sel, faiss_member_fn *is_member, const void *context);

/* An HNSW index (METRIC_INNER_PRODUCT, for vectors of unit length) over rows that stay in the caller's memory and must
 * outlive it.  The way through the graph is found by the rows' codes (code.h); scores and order of the answer are those
 * of scan_product().  The efSearch of the parameters is the number of *selected* neighbours that are kept in sight.  So
 * a selector does not cost recall.  d in [1, 65536], M in [2, 256]; `room`: for how many rows memory is set aside, more
 * may come. */
int faiss_IndexHNSWRows_new(FaissIndex **p_index, int d, int M, int efConstruction, size_t room);

/* Adds n rows, each [d].  On failure the index must be freed. */
int faiss_IndexHNSWRows_add(FaissIndex *index, idx_t n, const float *const *rows);

/* The graph as plain arrays.  Row i is on the levels 0 .. levels[i] - 1.  Its links lie one row after the other in
 * `links`: 2M places for level 0, then M for each further level.  Unused places are -1 and last. */
struct faiss_graph {
    size_t n, n_links;
    const int32_t *levels; /* [n], at least 1 */
    const int32_t *links;  /* [n_links] */
    int32_t entry;         /* where searches begin; -1 when empty */
};
int faiss_IndexHNSWRows_graph(const FaissIndex *index, struct faiss_graph *out); /* borrowed until the next add */

/* An index with a copy of this graph over these rows [n].  Everything in the graph is checked: one that is
 * damaged is refused. */
int faiss_IndexHNSWRows_new_from(FaissIndex **p_index, int d, int M, int efConstruction, size_t room,
                                 const struct faiss_graph *graph, const float *const *rows);

#ifdef __cplusplus
}
#endif

#endif
