/* bench_search.c - searching beside what FAISS's C API does when it is called directly.
 *
 *   bench_search [N [D [THREADS [SECONDS]]]]
 *
 * N (100,000) clustered vectors of D (512) dimensions, as many threads as cores, SECONDS (3) for each rate.
 * A search is by id: the vector is looked up, its 10 nearest others are found, ids and all.  Recall is
 * against our exact search.  FAISS's own index is HNSW32,Flat with what it has by default, but the same
 * efSearch.  Run it with OMP_NUM_THREADS=1, as a server does.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "bench/lib/faiss_plain.h"
#include "bench/lib/processor.h"
#include "index/vectors/segment.h"
#include "index/vectors/vindex.h"
#include "tests/lib/load.h"
#include "tests/lib/vectors.h"

enum { K = 10, QUERIES = 200, CLUSTER = 100 };

struct bench {
    size_t n, d, threads;
    double seconds;
    float *vectors;
    FaissIndex *faiss;
    struct vindex *index;
    int64_t *numbers; /* of the filter; NULL: none */
    size_t n_numbers;
    bool exact;
};

static void stop_if(bool failed, const char *what, const char *why)
{
    if (failed) {
        fprintf(stderr, "%s: %s\n", what, why);
        exit(1);
    }
}

/* ---- one search; the numbers found go to out [K], how many of them is given ---- */

typedef size_t search_fn(const struct bench *b, size_t i, int64_t *out);

static size_t search_faiss(const struct bench *b, size_t i, int64_t *out)
{
    float scores[K + 1];
    idx_t rows[K + 1];
    size_t n = 0;
    stop_if(faiss_Index_search_with_params(b->faiss, 1, b->vectors + i * b->d, K + 1, NULL, scores, rows) != 0, "FAISS",
            faiss_get_last_error());
    for (size_t k = 0; k <= K && n < K; k++)
        if (rows[k] >= 0 && rows[k] != (idx_t)i)
            out[n++] = rows[k] + 1;
    return n;
}

static void make_id(size_t i, char id[24])
{
    snprintf(id, 24, "image-%zu", i);
}

static size_t search_index(const struct bench *b, size_t i, int64_t *out)
{
    struct err e = {0};
    struct hits hits = {0};
    char id[24];
    const char *excluded = id;
    make_id(i, id);
    float *vector = mem_aligned(b->d, sizeof *vector);
    struct search q = {.vector = vector, .limit = K, .exclude = &excluded, .n_exclude = 1, .exact = b->exact};
    if (!vindex_vector(b->index, id, vector, &e)) { /* was deleted: ask for what is near it all the same */
        memcpy(vector, b->vectors + i * b->d, b->d * sizeof *vector);
        e = (struct err){0};
    }
    stop_if(!vindex_search(b->index, &q, b->numbers, b->n_numbers, &hits, &e), "searching", e.text);
    for (size_t k = 0; k < hits.n; k++)
        out[k] = hits.items[k].number;
    size_t n = hits.n;
    hits_clear(&hits);
    free(vector);
    return n;
}

static size_t search_exactly(const struct bench *b, size_t i, int64_t *out)
{
    struct bench exact = *b;
    exact.exact = true;
    return search_index(&exact, i, out);
}

/* ---- figures ---- */

struct figures {
    double rate, p50_ms, recall;
    size_t fewest; /* hits of one search */
};

struct runner {
    const struct bench *b;
    search_fn *search;
    size_t first, done;
    double *times;
};

static size_t query(const struct bench *b, size_t i)
{
    return i * 7919 % b->n;
}

static void *run(void *arg)
{
    struct runner *r = arg;
    double end = clock_s() + r->b->seconds;
    int64_t found[K];
    for (double now = clock_s(); now < end;) {
        r->search(r->b, query(r->b, r->first + r->done), found);
        double then = now;
        now = clock_s();
        r->times = mem_grow(r->times, r->done + 1, sizeof *r->times);
        r->times[r->done++] = now - then;
    }
    return NULL;
}

static double recall(const struct bench *b, search_fn *search, size_t *fewest)
{
    size_t wanted = 0, found = 0;
    *fewest = K;
    for (size_t i = 0; i < QUERIES; i++) {
        int64_t got[K], best[K];
        size_t n = search(b, query(b, i), got), m = search_exactly(b, query(b, i), best);
        for (size_t j = 0; j < n; j++)
            for (size_t k = 0; k < m; k++)
                found += got[j] == best[k];
        wanted += m;
        *fewest = min_size(*fewest, n);
    }
    return (double)found / (double)wanted;
}

static struct figures measure(const struct bench *b, search_fn *search, size_t threads)
{
    struct figures f = {.recall = recall(b, search, &f.fewest)};
    struct runner *runners = mem_new(threads, sizeof *runners);
    pthread_t *ids = mem_new(threads, sizeof *ids);
    double start = clock_s();
    size_t done = 0;
    for (size_t i = 0; i < threads; i++) {
        runners[i] = (struct runner){.b = b, .search = search, .first = i * b->n / threads};
        stop_if(pthread_create(&ids[i], NULL, run, &runners[i]) != 0, "threads", "cannot start one");
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        done += runners[i].done;
    }
    f.rate = (double)done / (clock_s() - start);
    f.p50_ms = 1e3 * quantile(runners[0].times, runners[0].done, 0.5);
    for (size_t i = 0; i < threads; i++)
        free(runners[i].times);
    free(runners);
    free(ids);
    return f;
}

static void print(const char *what, const struct figures *f, const struct figures *beside)
{
    printf("%-44s %8.0f  %8.3f  %6.4f  %4zu", what, f->rate, f->p50_ms, f->recall, f->fewest);
    if (beside)
        printf("  %5.2f x", f->rate / beside->rate);
    printf("\n");
    fflush(stdout);
}

/* ---- the indexes ---- */

static void make_faiss(struct bench *b, const char *kind)
{
    faiss_Index_free(b->faiss);
    b->faiss = faiss_plain_new(to_int(b->d), kind, strcmp(kind, "Flat") != 0 ? SEGMENT_EF : 0, b->n, b->vectors);
}

static void add_all(struct bench *b, const char *dir)
{
    struct err e = {0};
    b->index = vindex_new(
        &(struct vindex_options){.dimensions = (uint32_t)b->d, .generation = 1, .cache_dir = dir, .background = true},
        &e);
    stop_if(!b->index, "making an index", e.text);
    for (size_t i = 0; i < b->n; i++) {
        char id[24];
        make_id(i, id);
        struct entry entry = {.number = (int64_t)i + 1, .revision = 1, .id = id};
        stop_if(!vindex_add(b->index, &entry, b->vectors + i * b->d, &e), "adding", e.text);
    }
}

static void wait_for_background(const struct bench *b)
{
    struct vindex_stats s;
    do {
        usleep(10000);
        vindex_get_stats(b->index, &s);
    } while (s.building);
}

static void build(struct bench *b, const char *dir)
{
    struct vindex_stats s;
    double start = clock_s();
    add_all(b, dir);
    double added = clock_s();
    vindex_load_cache(b->index);
    wait_for_background(b);
    vindex_get_stats(b->index, &s);
    printf("added in %.2f s; sealed in the background in %.1f s: %zu segment(s), %.0f MB\n", added - start,
           clock_s() - added, s.segments, (double)s.bytes / 1e6);
}

static void restart(struct bench *b, const char *dir)
{
    struct vindex_stats s;
    vindex_release(b->index);
    add_all(b, dir);
    double start = clock_s();
    vindex_load_cache(b->index);
    double loaded = clock_s();
    vindex_get_stats(b->index, &s);
    printf("after a restart the graph is there in %.2f s (%zu segment(s), %zu fresh)\n", loaded - start, s.segments,
           s.fresh);
}

/* ---- the table ---- */

/* 0 to CLUSTER - 1: what is chosen by it is spread evenly. */
static size_t place_in_cluster(const struct bench *b, size_t i)
{
    return i / max_size(1, b->n / CLUSTER) % CLUSTER;
}

static void bench_graph(struct bench *b)
{
    double start = clock_s();
    make_faiss(b, "HNSW32,Flat");
    printf("FAISS's own HNSW32 built in %.1f s\n\n", clock_s() - start);
    printf("%-44s %8s  %8s  %6s  %4s\n", "10 nearest by id, all threads", "per s", "p50 ms", "recall", "hits");
    struct figures direct = measure(b, search_faiss, b->threads), f;
    print("FAISS's C API", &direct, NULL);
    f = measure(b, search_index, b->threads);
    print("anchord", &f, &direct);

    b->numbers = mem_new(b->n, sizeof *b->numbers);
    for (size_t i = 0; i < b->n; i++)
        if (place_in_cluster(b, i) == 0)
            b->numbers[b->n_numbers++] = (int64_t)i + 1;
    f = measure(b, search_index, b->threads);
    print("anchord, a filter that keeps 1 %", &f, &direct);
    free(b->numbers);
    b->numbers = NULL;
    b->n_numbers = 0;

    for (size_t i = 0; i < b->n; i++)
        if (place_in_cluster(b, i) % 10 < 3)
            vindex_remove(b->index, (int64_t)i + 1);
    f = measure(b, search_index, b->threads);
    print("anchord, 30 % deleted, while it is rebuilt", &f, &direct);
    wait_for_background(b);
    f = measure(b, search_index, b->threads);
    print("anchord, 30 % deleted, rebuilt", &f, &direct);
}

static void bench_flat(struct bench *b)
{
    printf("\n%-44s %8s  %8s  %6s  %4s\n", "exact, one thread", "per s", "p50 ms", "recall", "hits");
    make_faiss(b, "Flat");
    struct figures direct = measure(b, search_faiss, 1), f = measure(b, search_exactly, 1);
    print("FAISS's C API, Flat", &direct, NULL);
    print("anchord", &f, &direct);
}

static size_t argument(int argc, char **argv, int i, size_t otherwise)
{
    return argc > i ? (size_t)strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct bench b = {.n = argument(argc, argv, 1, 100000),
                      .d = argument(argc, argv, 2, 512),
                      .threads = argument(argc, argv, 3, (size_t)sysconf(_SC_NPROCESSORS_ONLN)),
                      .seconds = (double)argument(argc, argv, 4, 3)};
    char dir[] = "/tmp/anchord-bench-XXXXXX", path[64];
    stop_if(!mkdtemp(dir), "making a folder", dir);
    processor_print();
    printf("%zu vectors of %zu in clusters of %d, %zu threads, ef %d\n", b.n, b.d, CLUSTER, b.threads, SEGMENT_EF);
    b.vectors = vectors_clustered(1, b.n, b.d, max_size(1, b.n / CLUSTER), 0.6);
    build(&b, dir);
    restart(&b, dir);
    bench_flat(&b);
    printf("\n");
    bench_graph(&b);
    vindex_release(b.index);
    faiss_Index_free(b.faiss);
    free(b.vectors);
    snprintf(path, sizeof path, "%s/1.faiss", dir);
    unlink(path);
    rmdir(dir);
}
