// faiss_shim.cc - the C bodies that Debian's FAISS lacks, and HNSW over borrowed rows.
//
// FAISS builds the graph; the search is ours (Malkov and Yashunin's algorithms 2 and 5): release 1.7.3 ignores
// the efSearch of a single search, allocates and clears a table of all rows for each, and fetches the vectors
// one after the other.  Both see the rows as bytes (code.h); the answer is by the rows themselves.
#include "index/vectors/faiss_shim.h"

#include <faiss/IndexHNSW.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/FaissAssert.h>
#include <faiss/impl/IDSelector.h>
#include <omp.h>

#ifdef HAVE_FAISS_C
#include <faiss/c_api/error_impl.h>
#endif

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

extern "C" {
#include "index/vectors/code.h"
#include "index/vectors/scan.h"
}

namespace
{

using link_t = faiss::HNSW::storage_idx_t;
static_assert(sizeof(link_t) == sizeof(int32_t) && sizeof(int) == sizeof(int32_t), "faiss_graph's integers");

#ifdef HAVE_FAISS_C
void remember(const char *)
{
    faiss_last_exception = std::current_exception();
}
#else
thread_local std::string last_error;

void remember(const char *what)
{
    last_error = what;
}
#endif

// Runs `body` and turns what it throws into the C API's codes.
template <class Body> int guarded(Body body)
{
    try {
        body();
        return OK;
    } catch (const faiss::FaissException &e) {
        remember(e.what());
        return FAISS_EXCEPT;
    } catch (const std::exception &e) {
        remember(e.what());
        return STD_EXCEPT;
    } catch (...) {
        remember("unknown exception");
        return UNKNOWN_EXCEPT;
    }
}

faiss::Index *cpp(FaissIndex *index)
{
    FAISS_THROW_IF_NOT_MSG(index, "no index");
    return reinterpret_cast<faiss::Index *>(index);
}

const faiss::Index *cpp(const FaissIndex *index)
{
    FAISS_THROW_IF_NOT_MSG(index, "no index");
    return reinterpret_cast<const faiss::Index *>(index);
}

void check_vectors(const faiss::Index *index, idx_t n, const float *x)
{
    FAISS_THROW_IF_NOT_MSG(n >= 0 && n <= std::numeric_limits<int32_t>::max() && (x || n == 0), "bad n");
    for (size_t i = 0; i < size_t(n) * size_t(index->d); i++)
        FAISS_THROW_IF_NOT_MSG(std::isfinite(x[i]), "a vector is not finite");
}

void check_search(const faiss::Index *index, idx_t n, const float *x, idx_t k, const float *distances,
                  const idx_t *labels)
{
    check_vectors(index, n, x);
    FAISS_THROW_IF_NOT_MSG(k > 0 && k <= 1 << 20, "bad k");
    FAISS_THROW_IF_NOT_MSG(distances && labels, "nowhere to put the answer");
}

struct CallSelector final : faiss::IDSelector {
    faiss_member_fn *member;
    const void *context;

    CallSelector(faiss_member_fn *m, const void *c) : member(m), context(c)
    {
    }
    bool is_member(idx_t id) const override
    {
        return member(context, id) != 0;
    }
};

struct Found {
    float distance;
    link_t id;
    bool operator<(const Found &other) const
    {
        return distance < other.distance;
    }
    bool operator>(const Found &other) const
    {
        return distance > other.distance;
    }
};

// What one search needs beside the graph; each thread keeps its own from search to search.
struct Scratch {
    std::vector<uint8_t> marks; // marks[i] == mark: row i was seen
    uint8_t mark = 0;
    std::vector<Found> open; // heap, nearest on top: seen, its neighbours not yet
    std::vector<Found> best; // heap, farthest on top
    std::vector<link_t> fresh;

    void begin(size_t n)
    {
        if (marks.size() < n)
            marks.resize(n, mark);
        if (++mark == 0) {
            std::fill(marks.begin(), marks.end(), 0);
            mark = 1;
        }
        open.clear();
        best.clear();
    }
    bool see(link_t id) // true the first time
    {
        bool first = marks[size_t(id)] != mark;
        marks[size_t(id)] = mark;
        return first;
    }
    void keep(Found f, size_t limit)
    {
        best.push_back(f);
        std::push_heap(best.begin(), best.end());
        if (best.size() > limit) {
            std::pop_heap(best.begin(), best.end());
            best.pop_back();
        }
    }
};

thread_local Scratch scratch;

constexpr size_t AHEAD = 8; // rows that are fetched while one is compared

// The rows as bytes, each from a cache line of its own on.
struct Codes {
    struct alignas(64) Line {
        int8_t bytes[64];
    };
    size_t d, lines; // of one row
    std::vector<float> centre;
    std::vector<Line> all;
    std::vector<struct code> scales;

    explicit Codes(size_t dim) : d(dim), lines((dim + sizeof(Line) - 1) / sizeof(Line))
    {
    }

    void reserve(size_t n)
    {
        all.reserve(n * lines);
        scales.reserve(n);
    }
    // Moves the centre to where these rows are; only while there is no row.
    void centre_on(const float *const *rows, size_t n)
    {
        size_t step = n / CENTRE_ROWS + 1;
        std::vector<const float *> some;
        for (size_t i = 0; i < n; i += step)
            some.push_back(rows[i]);
        centre.resize(d);
        code_centre(some.data(), some.size(), d, centre.data());
    }
    void add(const float *row)
    {
        all.resize(all.size() + lines);
        scales.emplace_back();
        make(row, (all.end() - ptrdiff_t(lines))->bytes, scales.back());
    }
    void make(const float *row, int8_t *code, struct code &scale) const
    {
        code_make(row, centre.data(), d, code, &scale);
    }
    const int8_t *at(link_t i) const
    {
        return all[size_t(i) * lines].bytes;
    }
    void prefetch(link_t i) const
    {
        for (size_t line = 0; line < lines; line++)
            __builtin_prefetch(&all[size_t(i) * lines + line]);
    }

    static constexpr size_t CENTRE_ROWS = 4096; // enough to tell where the middle is
};

// Distances are negative inner products, by the codes: the nearest has the smallest.
struct CodeDistance final : faiss::DistanceComputer {
    const Codes &codes;
    std::vector<Codes::Line> query;
    struct code query_scale = {};

    explicit CodeDistance(const Codes &c) : codes(c), query(c.lines)
    {
    }

    float of(const int8_t *a, const struct code &x, const int8_t *b, const struct code &y) const
    {
        float product = float(code_product(a, b, codes.d));
        return -(x.scale * y.scale * product + x.bias + y.bias);
    }
    void set_query(const float *x) override
    {
        codes.make(x, query[0].bytes, query_scale);
    }
    float operator()(faiss::Index::idx_t i) override
    {
        return of(codes.at(link_t(i)), codes.scales[size_t(i)], query[0].bytes, query_scale);
    }
    float symmetric_dis(faiss::Index::idx_t i, faiss::Index::idx_t j) override
    {
        return of(codes.at(link_t(i)), codes.scales[size_t(i)], codes.at(link_t(j)), codes.scales[size_t(j)]);
    }
};

struct IndexHNSWRows final : faiss::Index {
    faiss::HNSW hnsw;
    std::vector<const float *> rows;
    Codes codes;

    IndexHNSWRows(int dim, int M, int ef_construction)
        : Index(dim, faiss::METRIC_INNER_PRODUCT), hnsw(M), codes(size_t(dim))
    {
        hnsw.efConstruction = ef_construction;
        hnsw.efSearch = 64;
    }

    void add(idx_t, const float *) override
    {
        FAISS_THROW_MSG("rows are added by faiss_IndexHNSWRows_add");
    }
    void add_rows(size_t n, const float *const *more);
    void search(idx_t n, const float *x, idx_t k, float *distances, idx_t *labels,
                const faiss::SearchParameters *params) const override;
    void reconstruct(idx_t key, float *out) const override
    {
        FAISS_THROW_IF_NOT_MSG(key >= 0 && key < ntotal, "no such row");
        std::copy_n(rows[size_t(key)], d, out);
    }
    void reset() override
    {
        hnsw.reset();
        rows.clear();
        codes = Codes(size_t(d));
        ntotal = 0;
    }
    void check_links() const;

    void append(size_t n, const float *const *more);
    void reserve(size_t n)
    {
        size_t links = size_t(hnsw.nb_neighbors(0)) + 2; // but for one row in M, which has more
        rows.reserve(n);
        codes.reserve(n);
        hnsw.levels.reserve(n);
        hnsw.offsets.reserve(n + 1);
        hnsw.neighbors.reserve(n * links);
    }

  private:
    void fetch(link_t row, int level, bool all) const;
    Found look(CodeDistance &distance, size_t i) const // at scratch.fresh[i]
    {
        if (i + AHEAD < scratch.fresh.size())
            codes.prefetch(scratch.fresh[i + AHEAD]);
        return {distance(scratch.fresh[i]), scratch.fresh[i]};
    }
    Found descend(CodeDistance &distance) const;
    void search_level(CodeDistance &distance, int level, Found from, size_t ef, const faiss::IDSelector *sel) const;
    void search_one(const float *x, size_t k, size_t ef, const faiss::IDSelector *sel, float *distances,
                    idx_t *labels) const;
};

void IndexHNSWRows::append(size_t n, const float *const *more)
{
    FAISS_THROW_IF_NOT_MSG(n < size_t(std::numeric_limits<link_t>::max()) - rows.size(), "too many rows");
    if (rows.empty())
        codes.centre_on(more, n);
    rows.insert(rows.end(), more, more + n);
    for (size_t i = 0; i < n; i++)
        codes.add(more[i]);
    ntotal = idx_t(rows.size());
}

void IndexHNSWRows::add_rows(size_t n, const float *const *more)
{
    size_t before = rows.size();
    append(n, more);
    hnsw.rng = faiss::RandomGenerator(int64_t(before) + 12345); // the draw of levels goes on, also after a copy
    hnsw.prepare_level_tab(n);
    std::vector<omp_lock_t> locks(rows.size()); // FAISS wants them; there is only this thread
    for (omp_lock_t &lock : locks)
        omp_init_lock(&lock);
    faiss::VisitedTable visited(int(rows.size()));
    CodeDistance distance(codes);
    for (size_t i = before; i < rows.size(); i++) {
        distance.set_query(rows[i]);
        hnsw.add_with_locks(distance, hnsw.levels[i] - 1, int(i), locks, visited);
    }
    for (omp_lock_t &lock : locks)
        omp_destroy_lock(&lock);
}

// Leaves the row's neighbours in scratch.fresh, all of them or those not seen before, with the first few on
// their way from memory.
void IndexHNSWRows::fetch(link_t row, int level, bool all) const
{
    Scratch &s = scratch;
    size_t begin, end;
    hnsw.neighbor_range(row, level, &begin, &end);
    s.fresh.clear();
    for (size_t j = begin; j < end && hnsw.neighbors[j] >= 0; j++)
        if (all || s.see(hnsw.neighbors[j]))
            s.fresh.push_back(hnsw.neighbors[j]);
    for (size_t i = 0; i < AHEAD && i < s.fresh.size(); i++)
        codes.prefetch(s.fresh[i]);
}

// Down the upper levels, always to the neighbour that is nearest.
Found IndexHNSWRows::descend(CodeDistance &distance) const
{
    Found at{distance(hnsw.entry_point), hnsw.entry_point};
    for (int level = hnsw.max_level; level > 0; level--) {
        for (bool moved = true; moved;) {
            fetch(at.id, level, true);
            moved = false;
            for (size_t i = 0; i < scratch.fresh.size(); i++) {
                Found next = look(distance, i);
                moved |= next < at;
                at = std::min(at, next);
            }
        }
    }
    return at;
}

// Leaves the nearest `ef` selected rows of the level in scratch.best.  What is not selected is passed
// through all the same.
void IndexHNSWRows::search_level(CodeDistance &distance, int level, Found from, size_t ef,
                                 const faiss::IDSelector *sel) const
{
    Scratch &s = scratch;
    s.begin(rows.size());
    s.see(from.id);
    s.open.push_back(from);
    if (!sel || sel->is_member(from.id))
        s.keep(from, ef);
    while (!s.open.empty() && (s.best.size() < ef || !(s.open.front() > s.best.front()))) {
        fetch(s.open.front().id, level, false);
        std::pop_heap(s.open.begin(), s.open.end(), std::greater<Found>());
        s.open.pop_back();
        for (size_t i = 0; i < s.fresh.size(); i++) {
            Found f = look(distance, i);
            if (s.best.size() == ef && !(f < s.best.front()))
                continue;
            s.open.push_back(f);
            std::push_heap(s.open.begin(), s.open.end(), std::greater<Found>());
            if (!sel || sel->is_member(f.id))
                s.keep(f, ef);
        }
    }
}

void IndexHNSWRows::search_one(const float *x, size_t k, size_t ef, const faiss::IDSelector *sel, float *distances,
                               idx_t *labels) const
{
    size_t found = 0;
    if (ntotal > 0) {
        CodeDistance distance(codes);
        distance.set_query(x);
        search_level(distance, 0, descend(distance), std::max(ef, k), sel);
        for (Found &f : scratch.best) // what the codes have found, by the rows themselves
            f.distance = -scan_product(rows[size_t(f.id)], x, size_t(d));
        std::sort(scratch.best.begin(), scratch.best.end());
        found = std::min(k, scratch.best.size());
    }
    for (size_t i = 0; i < k; i++) {
        distances[i] = i < found ? -scratch.best[i].distance : -std::numeric_limits<float>::max();
        labels[i] = i < found ? scratch.best[i].id : -1;
    }
}

void IndexHNSWRows::search(idx_t n, const float *x, idx_t k, float *distances, idx_t *labels,
                           const faiss::SearchParameters *params) const
{
    auto *hnsw_params = dynamic_cast<const faiss::SearchParametersHNSW *>(params);
    int ef = hnsw_params ? hnsw_params->efSearch : hnsw.efSearch;
    FAISS_THROW_IF_NOT_MSG(ef > 0, "bad efSearch");
    for (idx_t i = 0; i < n; i++)
        search_one(x + i * d, size_t(k), size_t(ef), params ? params->sel : nullptr, distances + i * k, labels + i * k);
}

// A link leads to another row that is on the same level; unused places come last.
void IndexHNSWRows::check_links() const
{
    for (size_t i = 0; i < rows.size(); i++) {
        for (int level = 0; level < hnsw.levels[i]; level++) {
            size_t begin, end;
            hnsw.neighbor_range(faiss::Index::idx_t(i), level, &begin, &end);
            bool ended = false;
            for (size_t j = begin; j < end; j++) {
                link_t to = hnsw.neighbors[j];
                FAISS_THROW_IF_NOT_MSG(to >= -1 && to < link_t(rows.size()), "a link leads nowhere");
                FAISS_THROW_IF_NOT_MSG(to == -1 || (!ended && hnsw.levels[size_t(to)] > level), "a misplaced link");
                ended |= to == -1;
            }
        }
    }
}

IndexHNSWRows *rows_index(FaissIndex *index)
{
    auto *r = dynamic_cast<IndexHNSWRows *>(cpp(index));
    FAISS_THROW_IF_NOT_MSG(r, "not an index over rows");
    return r;
}

void check_shape(int d, int M, int ef_construction)
{
    FAISS_THROW_IF_NOT_MSG(d >= 1 && d <= 65536, "bad d");
    FAISS_THROW_IF_NOT_MSG(M >= 2 && M <= 256 && ef_construction >= 1, "bad M or efConstruction");
}

IndexHNSWRows *restore(int d, int M, int ef_construction, size_t room, const struct faiss_graph *graph,
                       const float *const *rows)
{
    check_shape(d, M, ef_construction);
    FAISS_THROW_IF_NOT_MSG(graph->n < size_t(std::numeric_limits<link_t>::max()), "too many rows");
    std::unique_ptr<IndexHNSWRows> index(new IndexHNSWRows(d, M, ef_construction));
    faiss::HNSW &h = index->hnsw;
    int levels_max = int(h.cum_nneighbor_per_level.size()) - 1, top = 0;
    size_t n_links = 0;
    for (size_t i = 0; i < graph->n; i++) {
        FAISS_THROW_IF_NOT_MSG(graph->levels[i] >= 1 && graph->levels[i] <= levels_max, "a bad level");
        top = std::max(top, graph->levels[i]);
        n_links += size_t(h.cum_nb_neighbors(graph->levels[i]));
    }
    FAISS_THROW_IF_NOT_MSG(n_links == graph->n_links, "too many or too few links");
    index->reserve(std::max(room, graph->n));
    index->append(graph->n, rows);
    h.levels.assign(graph->levels, graph->levels + graph->n);
    h.prepare_level_tab(graph->n, true);
    std::copy_n(graph->links, n_links, h.neighbors.begin());
    index->check_links();
    bool has_entry = graph->n > 0;
    FAISS_THROW_IF_NOT_MSG(has_entry ? graph->entry >= 0 && size_t(graph->entry) < graph->n : graph->entry == -1,
                           "a bad entry");
    FAISS_THROW_IF_NOT_MSG(!has_entry || h.levels[size_t(graph->entry)] == top, "the entry is not on the top level");
    h.entry_point = graph->entry;
    h.max_level = top - 1;
    return index.release();
}

} // namespace

extern "C" {

#ifndef HAVE_FAISS_C

const char *faiss_get_last_error()
{
    return last_error.c_str();
}

void faiss_Index_free(FaissIndex *index)
{
    delete reinterpret_cast<faiss::Index *>(index);
}

void faiss_IDSelector_free(FaissIDSelector *sel)
{
    delete reinterpret_cast<faiss::IDSelector *>(sel);
}

#endif

int faiss_SearchParametersHNSW_new_with(FaissSearchParametersHNSW **p_params, FaissIDSelector *sel, int efSearch)
{
    return guarded([=] {
        FAISS_THROW_IF_NOT_MSG(efSearch > 0, "bad efSearch");
        auto *params = new faiss::SearchParametersHNSW();
        params->sel = reinterpret_cast<faiss::IDSelector *>(sel);
        params->efSearch = efSearch;
        *p_params = reinterpret_cast<FaissSearchParametersHNSW *>(static_cast<faiss::SearchParameters *>(params));
    });
}

void faiss_SearchParametersHNSW_free(FaissSearchParametersHNSW *params)
{
    delete reinterpret_cast<faiss::SearchParameters *>(params);
}

int faiss_Index_search_with_params(const FaissIndex *index, idx_t n, const float *x, idx_t k,
                                   const FaissSearchParameters *params, float *distances, idx_t *labels)
{
    return guarded([=] {
        check_search(cpp(index), n, x, k, distances, labels);
        cpp(index)->search(n, x, k, distances, labels, reinterpret_cast<const faiss::SearchParameters *>(params));
    });
}

int faiss_IDSelectorCall_new(FaissIDSelector **p_sel, faiss_member_fn *is_member, const void *context)
{
    return guarded([=] {
        FAISS_THROW_IF_NOT_MSG(is_member, "nothing to call");
        faiss::IDSelector *sel = new CallSelector(is_member, context);
        *p_sel = reinterpret_cast<FaissIDSelector *>(sel);
    });
}

int faiss_IndexHNSWRows_new(FaissIndex **p_index, int d, int M, int efConstruction, size_t room)
{
    return guarded([=] {
        check_shape(d, M, efConstruction);
        std::unique_ptr<IndexHNSWRows> index(new IndexHNSWRows(d, M, efConstruction));
        index->reserve(room);
        *p_index = reinterpret_cast<FaissIndex *>(static_cast<faiss::Index *>(index.release()));
    });
}

int faiss_IndexHNSWRows_add(FaissIndex *index, idx_t n, const float *const *rows)
{
    return guarded([=] {
        FAISS_THROW_IF_NOT_MSG(n >= 0, "bad n");
        IndexHNSWRows *r = rows_index(index);
        for (idx_t i = 0; i < n; i++)
            check_vectors(r, 1, rows[i]);
        r->add_rows(size_t(n), rows);
    });
}

int faiss_IndexHNSWRows_graph(const FaissIndex *index, struct faiss_graph *out)
{
    return guarded([=] {
        const faiss::HNSW &h = rows_index(const_cast<FaissIndex *>(index))->hnsw;
        *out = {h.levels.size(), h.neighbors.size(), h.levels.data(), h.neighbors.data(), h.entry_point};
    });
}

int faiss_IndexHNSWRows_new_from(FaissIndex **p_index, int d, int M, int efConstruction, size_t room,
                                 const struct faiss_graph *graph, const float *const *rows)
{
    return guarded([=] {
        faiss::Index *index = restore(d, M, efConstruction, room, graph, rows);
        *p_index = reinterpret_cast<FaissIndex *>(index);
    });
}

} // extern "C"
