/* test_vindex_cache.c - restarts: the saved graph is used where it fits, and never believed where it does not. */
#include "tests/t.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/mem.h"
#include "index/vectors/segment_file.h"
#include "index/vectors/vindex_parts.h"
#include "tests/lib/vectors.h"

enum { D = 16, N = 1200 };

struct disk {
    char *dir;
    float *vectors;
};

static int set_up(void **state)
{
    struct disk *disk = mem_new(1, sizeof *disk);
    disk->dir = t_make_dir();
    disk->vectors = vectors_clustered(2, N + 1, D, 30, 0.7);
    *state = disk;
    return 0;
}

static int tear_down(void **state)
{
    struct disk *disk = *state;
    t_remove_dir(disk->dir);
    free(disk->vectors);
    free(disk);
    return 0;
}

static struct vindex *start(const struct disk *disk, enum index_kind kind, int64_t generation)
{
    struct err e = {0};
    struct vindex *x = vindex_new(
        &(struct vindex_options){
            .dimensions = D, .kind = kind, .generation = generation, .cache_dir = disk->dir, .seal_at = 200},
        &e);
    assert_ok(x, e);
    return x;
}

static void add(struct vindex *x, const struct disk *disk, size_t i, size_t vector)
{
    struct err e = {0};
    char id[16];
    snprintf(id, sizeof id, "i%zu", i);
    struct entry entry = {.number = (int64_t)i + 1, .revision = (int64_t)vector, .id = id};
    assert_ok(vindex_add(x, &entry, disk->vectors + vector * D, &e), e);
}

static void add_all(struct vindex *x, const struct disk *disk)
{
    for (size_t i = 0; i < N; i++)
        add(x, disk, i, i);
}

static size_t build_all(struct vindex *x)
{
    struct err e = {0};
    size_t steps = 0;
    while (vindex_build_step(x, &e))
        steps++;
    assert_int_equal(e.code, ERR_NONE);
    return steps;
}

/* Builds and saves what a first life leaves behind. */
static void first_life(const struct disk *disk)
{
    struct vindex *x = start(disk, INDEX_HNSW, 3);
    vindex_load_cache(x);
    add_all(x, disk);
    assert_true(build_all(x) > 0);
    for (size_t i = 0; i < 250; i++) /* the same again: the graph has both, the old one dead */
        add(x, disk, i, i);
    assert_true(build_all(x) > 0);
    vindex_save(x, false);
    vindex_release(x);
}

static void file_path(const struct disk *disk, const char *name, char out[320])
{
    snprintf(out, 320, "%s/%s", disk->dir, name);
}

static bool file_exists(const struct disk *disk, const char *name)
{
    char path[320];
    file_path(disk, name, path);
    return access(path, F_OK) == 0;
}

/* Every image i of [0, N) but `except` is found as its own nearest. */
static void expect_all_found(struct vindex *x, const struct disk *disk, size_t except)
{
    for (size_t i = 0; i < N; i += 7) {
        struct err e = {0};
        struct hits hits = {0};
        struct search q = {.vector = disk->vectors + i * D, .limit = 2, .ef = 10};
        assert_ok(vindex_search(x, &q, NULL, 0, &hits, &e), e);
        assert_int_equal(hits.n, 2);
        if (i != except)
            assert_int_equal(hits.items[0].number, i + 1);
        assert_int_not_equal(hits.items[1].number, hits.items[0].number);
        hits_clear(&hits);
    }
}

static struct vindex_stats stats_of(struct vindex *x)
{
    struct vindex_stats stats;
    vindex_get_stats(x, &stats);
    return stats;
}

static void the_saved_graph_is_used_after_a_restart(void **state)
{
    const struct disk *disk = *state;
    first_life(disk);
    struct vindex *x = start(disk, INDEX_HNSW, 3);
    add_all(x, disk);
    assert_int_equal(build_all(x), 0); /* not before the cache was looked at */
    vindex_load_cache(x);
    assert_int_equal(stats_of(x).segments, 1);
    assert_int_equal(stats_of(x).fresh, 0);
    assert_int_equal(build_all(x), 0);
    expect_all_found(x, disk, N);
    vindex_release(x);
}

static void what_changed_since_the_graph_was_saved_is_right_all_the_same(void **state)
{
    const struct disk *disk = *state;
    first_life(disk);
    struct vindex *x = start(disk, INDEX_HNSW, 3);
    for (size_t i = 0; i < N; i++) /* 14 has another vector now, 15 is gone, one is new */
        if (i != 15)
            add(x, disk, i, i == 14 ? N : i);
    vindex_load_cache(x);
    assert_int_equal(stats_of(x).segments, 1);
    assert_int_equal(stats_of(x).living, N - 1);
    assert_int_equal(stats_of(x).fresh, 1);
    expect_all_found(x, disk, 14);
    struct err e = {0};
    struct hits hits = {0};
    struct search q = {.vector = disk->vectors + N * D, .limit = 2, .ef = 20};
    assert_ok(vindex_search(x, &q, NULL, 0, &hits, &e), e);
    assert_int_equal(hits.items[0].number, 15);
    assert_int_not_equal(hits.items[1].number, 15); /* not twice */
    hits_clear(&hits);
    vindex_release(x);
}

static void refused(const struct disk *disk, enum index_kind kind, int64_t generation)
{
    struct vindex *x = start(disk, kind, generation);
    add_all(x, disk);
    vindex_load_cache(x);
    assert_int_equal(stats_of(x).segments, 0);
    assert_false(file_exists(disk, "1.faiss"));
    expect_all_found(x, disk, N);
    assert_true(build_all(x) > 0);
    expect_all_found(x, disk, N);
    vindex_save(x, false);
    assert_true(file_exists(disk, "1.faiss"));
    vindex_release(x);
}

static void damaged_and_foreign_files_are_removed_and_made_anew(void **state)
{
    const struct disk *disk = *state;
    char path[320];
    first_life(disk);
    file_path(disk, "1.faiss", path);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, 5000), 1);
    close(fd);
    refused(disk, INDEX_HNSW, 3);
    refused(disk, INDEX_HNSW, 4); /* what the last one saved belongs to generation 3 */
}

/* A generation that somebody goes back to has the graph of its last day, and images came and went since: no damage. */
static void an_outdated_file_is_removed_without_a_warning(void **state)
{
    const struct disk *disk = *state;
    char path[320], text[4096] = "";
    first_life(disk);
    file_path(disk, "log", path);
    int usual = dup(STDERR_FILENO), file = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(usual >= 0 && file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
    unlink(path);
    struct vindex *x = start(disk, INDEX_HNSW, 3);
    for (size_t i = 0; i < N / 2; i++)
        add(x, disk, i, i);
    vindex_load_cache(x);
    dup2(usual, STDERR_FILENO);
    close(usual);
    assert_true(pread(file, text, sizeof text - 1, 0) >= 0);
    close(file);
    if (strstr(text, "warn"))
        fail_msg("%s", text);
    assert_int_equal(stats_of(x).segments, 0);
    assert_false(file_exists(disk, "1.faiss"));
    vindex_release(x);
}

/* A graph may be as bad as it likes: what it does not find is found by looking at all. */
static void a_graph_that_leads_nowhere_costs_time_but_no_hits(void **state)
{
    const struct disk *disk = *state;
    char path[320];
    struct segment_file f;
    struct err e = {0};
    first_life(disk);
    file_path(disk, "1.faiss", path);
    assert_ok(segment_file_read(path, &f, &e), e);
    int32_t *none = mem_new(f.graph.n_links, sizeof *none);
    memset(none, 0xff, f.graph.n_links * sizeof *none);
    f.graph.links = none;
    assert_ok(segment_file_write(&f, path, &e), e);
    segment_file_clear(&f);
    free(none);
    struct vindex *x = start(disk, INDEX_HNSW, 3);
    add_all(x, disk);
    vindex_load_cache(x);
    assert_int_equal(stats_of(x).segments, 1);
    expect_all_found(x, disk, N);
    vindex_release(x);
}

static void left_over_temporary_files_are_removed(void **state)
{
    const struct disk *disk = *state;
    char path[320];
    first_life(disk);
    file_path(disk, "1.faiss.Ab3dE6", path);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    struct vindex *x = start(disk, INDEX_HNSW, 3);
    vindex_load_cache(x);
    assert_false(file_exists(disk, "1.faiss.Ab3dE6"));
    vindex_release(x);
}

static void a_flat_collection_has_no_graph_whatever_lies_there(void **state)
{
    const struct disk *disk = *state;
    first_life(disk);
    struct vindex *x = start(disk, INDEX_FLAT, 3);
    add_all(x, disk);
    vindex_load_cache(x);
    assert_int_equal(build_all(x), 0);
    assert_int_equal(stats_of(x).segments, 0);
    vindex_release(x);
}

static void wait_for_background(struct vindex *x)
{
    assert_true(stats_of(x).building);
    assert_true(t_wait(20, !stats_of(x).building));
}

static void the_background_builds_saves_and_ends(void **state)
{
    const struct disk *disk = *state;
    struct err e = {0};
    struct vindex *x = vindex_new(&(struct vindex_options){.dimensions = D,
                                                           .generation = 3,
                                                           .cache_dir = disk->dir,
                                                           .hnsw_from = 500,
                                                           .seal_at = 100,
                                                           .background = true},
                                  &e);
    assert_ok(x, e);
    vindex_load_cache(x);
    for (size_t i = 0; i < 499; i++)
        add(x, disk, i, i);
    assert_false(stats_of(x).building); /* small collections stay exact */
    for (size_t i = 499; i < N; i++) {
        add(x, disk, i, i);
        if (i == 900)
            wait_for_background(x); /* what follows does not double the graph */
    }
    wait_for_background(x);
    assert_int_equal(stats_of(x).segments, 1);
    assert_true(stats_of(x).fresh < 100);
    expect_all_found(x, disk, N);
    vindex_release(x);
    x = start(disk, INDEX_HNSW, 3); /* the file is of the last graph */
    add_all(x, disk);
    vindex_load_cache(x);
    assert_int_equal(stats_of(x).segments, 1);
    assert_true(stats_of(x).fresh < 100);
    vindex_release(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_saved_graph_is_used_after_a_restart),
        cmocka_unit_test(what_changed_since_the_graph_was_saved_is_right_all_the_same),
        cmocka_unit_test(damaged_and_foreign_files_are_removed_and_made_anew),
        cmocka_unit_test(an_outdated_file_is_removed_without_a_warning),
        cmocka_unit_test(a_graph_that_leads_nowhere_costs_time_but_no_hits),
        cmocka_unit_test(left_over_temporary_files_are_removed),
        cmocka_unit_test(a_flat_collection_has_no_graph_whatever_lies_there),
        cmocka_unit_test(the_background_builds_saves_and_ends),
    };
    return T_RUN_EACH(tests, set_up, tear_down);
}
