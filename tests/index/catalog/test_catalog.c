/* test_catalog.c - the catalogue by itself: transactions, sessions, attributes, checks. */
#include "tests/t.h"

#include <pthread.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/work_limit.h"
#include "index/catalog/catalog.h"
#include "index/catalog/sql.h"
#include "index/values/filter.h"

enum { DIMENSIONS = 4 };

struct fixture {
    char *dir, path[400];
    struct catalog *c;
    struct session *w;
    struct collection_row row;
};

static int open_catalog(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};
    f->dir = t_make_dir();
    snprintf(f->path, sizeof f->path, "%s/anchord.db", f->dir);
    f->c = catalog_open(f->path, &e);
    *state = f;
    if (!f->c)
        return -1;
    f->w = catalog_writer(f->c);
    f->row = (struct collection_row){.name = "default", .model = "m", .dimensions = DIMENSIONS};
    return catalog_begin(f->w, &e) && catalog_collection_add(f->w, &f->row, &e) && catalog_commit(f->w, &e) ? 0 : -1;
}

static int close_catalog(void **state)
{
    struct fixture *f = *state;
    catalog_close(f->c, false);
    t_remove_dir(f->dir);
    free(f);
    return 0;
}

/* Adds an image inside the transaction. */
static int64_t add(struct fixture *f, const char *id, const char *label, const char *metadata)
{
    static const float vector[DIMENSIONS] = {1};
    struct err e = {0};
    struct image_row row;
    struct image_put put = {.id = id,
                            .len = 1,
                            .media_type = "image/png",
                            .label = label,
                            .metadata = metadata,
                            .vector = vector,
                            .generation = f->row.generation};
    hash_text(id, strlen(id), put.sha256);
    assert_ok(catalog_image_put(f->w, &f->row, &put, NULL, &row, &e), e);
    int64_t number = row.number;
    image_row_clear(&row);
    return number;
}

static int64_t count(struct fixture *f, struct session *s, const char *filter)
{
    struct err e = {0};
    int64_t n = -1;
    struct json *doc = filter ? json_parse(filter, strlen(filter), 0, &e) : NULL;
    struct filter *parsed = filter ? filter_parse(doc, "filter", &e) : NULL;
    if (filter && !parsed)
        fail_msg("%s: %s", filter, e.text);
    assert_ok(catalog_count(s, f->row.number, parsed, &n, &e), e);
    filter_free(parsed);
    json_free(doc);
    return n;
}

static void what_is_undone_was_never_there_and_the_rest_is_kept(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct collection_row row;
    assert_ok(catalog_begin(f->w, &e), e);
    assert_ok(catalog_mark(f->w, &e), e);
    add(f, "a", NULL, NULL);
    assert_ok(catalog_keep(f->w, &e), e);
    assert_ok(catalog_mark(f->w, &e), e);
    add(f, "b", "x", "{\"n\":1}");
    assert_int_equal(count(f, f->w, NULL), 2); /* the writer sees its own */
    assert_true(catalog_undo(f->w));
    assert_ok(catalog_mark(f->w, &e), e);
    add(f, "c", NULL, NULL);
    assert_ok(catalog_keep(f->w, &e), e);
    struct session *r = catalog_reader(f->c, &e);
    assert_int_equal(count(f, r, NULL), 0); /* readers see what is committed */
    assert_ok(catalog_commit(f->w, &e), e);
    assert_int_equal(count(f, r, NULL), 2);
    assert_int_equal(count(f, r, "{\"must\":[{\"key\":\"n\",\"match\":{\"value\":1}}]}"), 0);
    assert_ok(catalog_collection(r, "default", &row, &e), e);
    assert_int_equal(row.images, 2);
    assert_ok(catalog_verify(r, &e), e);
    catalog_reader_done(f->c, r);
    assert_ok(catalog_begin(f->w, &e), e);
    add(f, "d", NULL, NULL);
    catalog_rollback(f->w);
    assert_int_equal(count(f, f->w, NULL), 2);
}

static void metadata_is_found_by_its_leaves(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_ok(catalog_begin(f->w, &e), e);
    add(f, "a", "cat",
        "{\"n\":1,\"r\":2.5,\"t\":\"1\",\"b\":true,\"o\":{\"p\":{\"q\":\"deep\"}},"
        "\"l\":[\"u\",\"v\",7,{\"m\":3}]}");
    add(f, "b", NULL, "{\"n\":9007199254740993,\"none\":null,\"b\":false,\"l\":[],\"t\":\"\\u00e9\"}");
    assert_ok(catalog_commit(f->w, &e), e);
    static const struct {
        const char *key, *condition;
        int expected;
    } cases[] = {
        {"label", "\"match\":{\"value\":\"cat\"}", 1},
        {"n", "\"match\":{\"value\":1}", 1},
        {"n", "\"match\":{\"value\":\"1\"}", 0},
        {"t", "\"match\":{\"value\":\"1\"}", 1},
        {"t", "\"match\":{\"value\":1}", 0},
        {"r", "\"range\":{\"gt\":2,\"lt\":3}", 1},
        {"b", "\"match\":{\"value\":true}", 1},
        {"b", "\"match\":{\"value\":1}", 0},
        {"b", "\"match\":{\"value\":false}", 1},
        {"o.p.q", "\"match\":{\"value\":\"deep\"}", 1},
        {"o.p", "\"match\":{\"value\":\"deep\"}", 0},
        {"l", "\"match\":{\"value\":\"v\"}", 1},
        {"l", "\"match\":{\"value\":7}", 1},
        {"l.m", "\"match\":{\"value\":3}", 1},
        {"n", "\"match\":{\"value\":9007199254740993}", 1},
        {"n", "\"match\":{\"value\":9007199254740992}", 0},
        {"none", "\"match\":{\"value\":false}", 0},
        {"t", "\"match\":{\"any\":[\"\xc3\xa9\",\"1\"]}", 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"must\":[{\"key\":\"%s\",%s}]}", cases[i].key, cases[i].condition);
        int64_t found = count(f, f->w, text);
        if (found != cases[i].expected)
            fail_msg("%s finds %lld, expected %d", text, (long long)found, cases[i].expected);
    }
}

static void a_filter_gives_numbers_in_ascending_order_of_its_own_collection_only(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    int64_t *numbers, first[3];
    size_t n;
    struct collection_row other = {.name = "other", .model = "m", .dimensions = DIMENSIONS};
    assert_ok(catalog_begin(f->w, &e), e);
    first[0] = add(f, "z", "x", "{\"n\":5}");
    first[1] = add(f, "y", "x", "{\"n\":3}");
    add(f, "x", "y", "{\"n\":99}");
    first[2] = add(f, "a", "x", "{\"n\":4}");
    assert_ok(catalog_collection_add(f->w, &other, &e), e);
    struct collection_row mine = f->row;
    f->row = other;
    add(f, "z", "x", "{\"n\":5}");
    f->row = mine;
    assert_ok(catalog_commit(f->w, &e), e);
    static const char text[] = "{\"should\":[{\"key\":\"n\",\"range\":{\"lte\":5}},"
                               "{\"key\":\"label\",\"match\":{\"value\":\"x\"}}]}";
    struct json *doc = json_parse(text, sizeof text - 1, 0, &e);
    struct filter *filter = doc ? filter_parse(doc, "filter", &e) : NULL;
    if (!filter)
        fail_msg("%s", e.text);
    assert_ok(catalog_numbers(f->w, f->row.number, filter, &numbers, &n, &e), e);
    assert_int_equal(n, 3);
    assert_memory_equal(numbers, first, sizeof first);
    free(numbers);
    struct image_row *rows;
    bool more;
    assert_ok(catalog_images(f->w, f->row.number, &(struct image_page){.filter = filter, .after_id = "a", .limit = 1},
                             &rows, &n, &more, &e),
              e);
    assert_int_equal(n, 1);
    assert_true(more);
    assert_string_equal(rows[0].id, "y");
    image_row_clear(&rows[0]);
    free(rows);
    filter_free(filter);
    json_free(doc);
}

/* A collection of a million is not to be walked through for a filter that keeps ten, and a row that several conditions
 * need is looked at once. */
static void a_filter_looks_at_the_rows_that_its_conditions_mean(void **state)
{
    static const struct {
        const char *filter;
        int kept, rows;
    } cases[] = {
        {"{\"must\":[{\"key\":\"n\",\"match\":{\"value\":5}}]}", 1, 1},
        {"{\"must\":[{\"key\":\"n\",\"match\":{\"any\":[5,7,7.5]}}]}", 2, 2},
        {"{\"must\":[{\"key\":\"n\",\"range\":{\"gte\":10,\"lt\":20}}]}", 10, 10},
        {"{\"must\":[{\"key\":\"n\",\"range\":{\"gte\":10}},{\"key\":\"n\",\"range\":{\"lt\":20}}]}", 10, 200},
        {"{\"must\":[{\"key\":\"n\",\"range\":{\"gte\":10}},{\"key\":\"n\",\"range\":{\"gte\":11}}]}", 189, 190},
        {"{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"odd\"}}]}", 100, 100},
        {"{\"must\":[{\"is_empty\":{\"key\":\"label\"}}]}", 100, 300}, /* those with a label, then all */
        {"{\"must\":[{\"has_id\":[\"i7\",\"i9\",\"no\"]}]}", 2, 2},
        {"{}", 200, 200},
    };
    enum { OVERHEAD = 1 }; /* the largest number */
    struct fixture *f = *state;
    struct err e = {0};
    assert_ok(catalog_begin(f->w, &e), e);
    for (int i = 0; i < 200; i++) {
        char id[16], metadata[32];
        snprintf(id, sizeof id, "i%d", i);
        snprintf(metadata, sizeof metadata, "{\"n\":%d}", i);
        add(f, id, i % 2 ? "odd" : NULL, metadata);
    }
    assert_ok(catalog_commit(f->w, &e), e);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct work_limit limit = {.until = INT64_MAX, .rows = 100000};
        work_limit_set(&limit);
        int64_t kept = count(f, f->w, cases[i].filter);
        work_limit_set(NULL);
        int64_t rows = 100000 - limit.rows - OVERHEAD;
        if (kept != cases[i].kept || rows != cases[i].rows)
            fail_msg("%s keeps %lld after a look at %lld rows, expected %d after %d", cases[i].filter, (long long)kept,
                     (long long)rows, cases[i].kept, cases[i].rows);
    }
}

/* A filter that keeps many is paged by going through the ids, one that keeps few by looking each up: both give every image
 * once, in order. */
static void pages_of_a_filter_hold_every_image_once_in_order(void **state)
{
    enum { ALL = 5000 };
    static const struct {
        const char *filter;
        size_t kept;
    } cases[] = {
        {"{\"must\":[{\"key\":\"n\",\"range\":{\"gte\":500}}]}", 4500},
        {"{\"must\":[{\"key\":\"n\",\"range\":{\"lt\":500}}]}", 500},
        {"{}", ALL},
    };
    struct fixture *f = *state;
    struct err e = {0};
    assert_ok(catalog_begin(f->w, &e), e);
    for (unsigned i = 0; i < ALL; i++) {
        char id[16], metadata[32];
        snprintf(id, sizeof id, "i%u", i * 7919 % ALL);
        snprintf(metadata, sizeof metadata, "{\"n\":%u}", i);
        add(f, id, NULL, metadata);
    }
    assert_ok(catalog_commit(f->w, &e), e);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json *doc = json_parse(cases[i].filter, strlen(cases[i].filter), 0, &e);
        struct filter *filter = filter_parse(doc, "filter", &e);
        struct image_row *rows;
        char last[ID_MAX + 1] = "";
        size_t n, seen = 0;
        bool more = true;
        while (more) {
            struct image_page page = {.filter = filter, .after_id = last[0] ? last : NULL, .limit = 700};
            assert_ok(catalog_images(f->w, f->row.number, &page, &rows, &n, &more, &e), e);
            for (size_t k = 0; k < n; k++) {
                assert_true(strcmp(rows[k].id, last) > 0);
                memcpy(last, rows[k].id, sizeof last);
                image_row_clear(&rows[k]);
            }
            assert_true(n == 700 || !more);
            seen += n;
            free(rows);
        }
        assert_int_equal(seen, cases[i].kept);
        filter_free(filter);
        json_free(doc);
    }
}

static bool note_vector(void *arg, const struct catalog_vector *v, struct err *e)
{
    size_t *n = arg;
    (void)e;
    ++*n;
    return strcmp(v->id, "bad") != 0;
}

/* One of another length than its generation's is damaged. */
static bool note_damaged(void *arg, const struct catalog_vector *v, struct err *e)
{
    (void)arg;
    return v->checksum == VECTOR_DAMAGED || err_set(e, ERR_INTERNAL, "%s is taken", v->id);
}

static void a_vector_of_an_older_revision_is_not_loaded(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row row;
    size_t n = 0;
    assert_ok(catalog_begin(f->w, &e), e);
    add(f, "a", NULL, NULL);
    add(f, "b", NULL, NULL);
    assert_ok(catalog_image(f->w, f->row.number, "a", &row, &e), e);
    assert_ok(catalog_image_update(f->w, f->row.number, &row, &e), e); /* carries its vector along */
    assert_ok(catalog_commit(f->w, &e), e);
    assert_ok(catalog_vectors(f->w, f->row.generation, DIMENSIONS, ALL_VECTORS, note_vector, &n, &e), e);
    assert_int_equal(n, 2);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE vector SET revision = revision - 1 WHERE image = 1", 0, 0, 0), 0);
    sqlite3_close(db);
    n = 0;
    assert_ok(catalog_vectors(f->w, f->row.generation, DIMENSIONS, ALL_VECTORS, note_vector, &n, &e), e);
    assert_int_equal(n, 1);
    assert_ok(catalog_vectors(f->w, f->row.generation, DIMENSIONS + 1, ALL_VECTORS, note_damaged, &n, &e), e);
    image_row_clear(&row);
}

static void contradictions_between_tables_are_found(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    static const char *const wrongs[] = {
        "UPDATE collection SET images = images + 1",
        "DELETE FROM image WHERE id = 'a'",
        "INSERT INTO attribute VALUES (999, 1, 'k', 1, NULL, NULL)",
        "UPDATE collection SET generation = 77",
    };
    assert_ok(catalog_begin(f->w, &e), e);
    add(f, "a", NULL, "{\"n\":1}");
    assert_ok(catalog_commit(f->w, &e), e);
    assert_ok(catalog_verify(f->w, &e), e);
    for (size_t i = 0; i < COUNT(wrongs); i++) {
        char copy[420];
        snprintf(copy, sizeof copy, "%s/copy%zu.db", f->dir, i);
        assert_ok(catalog_copy(f->w, copy, &e), e);
        sqlite3 *db;
        assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, wrongs[i], 0, 0, 0), SQLITE_OK);
        sqlite3_close(db);
        struct catalog *c = catalog_open_copy(copy, &e);
        assert_non_null(c);
        assert_null(catalog_writer(c));
        struct session *s = catalog_reader(c, &e);
        if (catalog_verify(s, &e))
            fail_msg("not found: %s", wrongs[i]);
        assert_int_equal(e.code, ERR_CORRUPT);
        e = (struct err){0};
        catalog_reader_done(c, s);
        catalog_close(c, false);
    }
}

static void a_damaged_file_is_refused_at_the_start(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_ok(catalog_begin(f->w, &e), e);
    for (int i = 0; i < 400; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        add(f, id, "label", "{\"key\":\"value\"}");
    }
    assert_ok(catalog_commit(f->w, &e), e);
    catalog_close(f->c, false);
    FILE *file = fopen(f->path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long pages = ftell(file) / 8192;
    assert_true(pages > 10);
    unsigned char junk[512];
    memset(junk, 0xa7, sizeof junk);
    for (long page = 2; page < pages; page++) { /* all but the schema */
        assert_int_equal(fseek(file, page * 8192, SEEK_SET), 0);
        assert_int_equal(fwrite(junk, sizeof junk, 1, file), 1);
    }
    fclose(file);
    f->c = catalog_open(f->path, &e);
    assert_null(f->c);
    assert_int_equal(e.code, ERR_CORRUPT);
}

/* What the steps behind the third one made. */
#define UNDO_LATER "ALTER TABLE vector DROP COLUMN checksum; DROP INDEX image_by_creation; DROP INDEX image_by_update;"

/* What the first released schema lacked is taken away, and comes back. */
static void a_file_of_the_first_schema_is_brought_up_to_date(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row *rows;
    size_t n = 0;
    sqlite3 *db;
    assert_ok(catalog_begin(f->w, &e), e);
    add(f, "a", NULL, NULL);
    assert_ok(catalog_commit(f->w, &e), e);
    catalog_close(f->c, false);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  UNDO_LATER "DROP INDEX vector_current; DROP INDEX vector_unreadable;"
                                             "ALTER TABLE generation DROP COLUMN state;"
                                             "ALTER TABLE generation DROP COLUMN skip_unreadable;"
                                             "ALTER TABLE generation DROP COLUMN activated_at;"
                                             "ALTER TABLE generation DROP COLUMN retired_at;"
                                             "ALTER TABLE generation DROP COLUMN turn;"
                                             "ALTER TABLE generation DROP COLUMN error; PRAGMA user_version = 1;",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    f->c = catalog_open(f->path, &e);
    if (!f->c)
        fail_msg("%s", e.text);
    f->w = catalog_writer(f->c);
    assert_ok(catalog_verify(f->w, &e), e);
    assert_ok(catalog_generations(f->w, f->row.number, &rows, &n, &e), e);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].state, GENERATION_ACTIVE);
    assert_int_equal(rows[0].activated_at, rows[0].created_at);
    assert_ok(catalog_generation_counts(f->w, &rows[0], &e), e);
    assert_int_equal(rows[0].done, 1);
    free(rows);
}

static void the_empty_label_of_an_older_file_becomes_none(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row row;
    size_t *each, n;
    sqlite3 *db;
    assert_ok(catalog_begin(f->w, &e), e);
    add(f, "a", "", NULL);
    add(f, "b", "cat", NULL);
    assert_ok(catalog_commit(f->w, &e), e);
    catalog_close(f->c, false);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, UNDO_LATER "PRAGMA user_version = 2;", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    f->c = catalog_open(f->path, &e);
    if (!f->c)
        fail_msg("%s", e.text);
    f->w = catalog_writer(f->c);
    assert_ok(catalog_image(f->w, f->row.number, "a", &row, &e), e);
    assert_null(row.label);
    image_row_clear(&row);
    assert_ok(catalog_image(f->w, f->row.number, "b", &row, &e), e);
    assert_string_equal(row.label, "cat");
    image_row_clear(&row);
    assert_ok(catalog_label_counts(f->w, f->row.number, &each, &n, &e), e);
    assert_int_equal(n, 1);
    assert_int_equal(each[0], 1);
    assert_int_equal(each[1], 1);
    free(each);
}

/* As version 0.1.0 wrote numbers from 2^63 on: plain reals. */
#define AS_REALS                                                                                                       \
    "UPDATE attribute SET number = 9223372036854775808.0 WHERE number = x'008000000000000000';"                        \
    "UPDATE attribute SET number = 1e19 WHERE number = x'008AC7230489E80000';"                                         \
    "UPDATE attribute SET number = 1e300 WHERE number = x'017E37E43C8800759C';"

static void check_numbers(struct fixture *f)
{
    static const struct {
        const char *condition;
        int64_t want;
    } cases[] = {
        {"\"match\":{\"value\":1e19}", 2},
        {"\"match\":{\"value\":10000000000000000000}", 2},
        {"\"match\":{\"any\":[1e300,9223372036854775808]}", 2},
        {"\"range\":{\"gte\":1e19}", 3},
        {"\"range\":{\"gt\":1e19}", 1},
        {"\"range\":{\"lt\":1e19}", 6},
        {"\"range\":{\"gte\":9223372036854775807,\"lt\":1e20}", 4},
    };
    char filter[300];
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(filter, sizeof filter, "{\"must\":[{\"key\":\"n\",%s}]}", cases[i].condition);
        if (count(f, f->w, filter) != cases[i].want)
            fail_msg("%s: not %lld", filter, (long long)cases[i].want);
    }
}

static void numbers_that_an_older_file_has_as_plain_reals_are_found(void **state)
{
    static const char *const numbers[] = {
        "-1e300",   "7",    "9.2233720368547748e18", "9223372036854775807", "9223372036854775808.0", "1e19",
        "[1,1e19]", "1e300"};
    struct fixture *f = *state;
    struct err e = {0};
    char metadata[100];
    sqlite3 *db;
    assert_ok(catalog_begin(f->w, &e), e);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        snprintf(metadata, sizeof metadata, "{\"n\":%s}", numbers[i]);
        add(f, numbers[i], NULL, metadata);
    }
    assert_ok(catalog_commit(f->w, &e), e);
    check_numbers(f);
    catalog_close(f->c, false);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, UNDO_LATER AS_REALS "PRAGMA user_version = 2;", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    f->c = catalog_open(f->path, &e);
    if (!f->c)
        fail_msg("%s", e.text);
    f->w = catalog_writer(f->c);
    check_numbers(f);
}

struct waiter {
    struct catalog *c;
    bool got; /* atomic */
};

static void *take_one(void *arg)
{
    struct waiter *w = arg;
    struct session *s = catalog_reader(w->c, NULL);
    __atomic_store_n(&w->got, s != NULL, __ATOMIC_SEQ_CST);
    catalog_reader_done(w->c, s);
    return NULL;
}

static void a_reader_waits_for_a_free_session(void **state)
{
    struct fixture *f = *state;
    struct session *taken[8];
    struct waiter w = {.c = f->c};
    pthread_t thread;
    for (size_t i = 0; i < COUNT(taken); i++)
        assert_non_null(taken[i] = catalog_reader(f->c, NULL));
    assert_int_equal(pthread_create(&thread, NULL, take_one, &w), 0);
    usleep(30000);
    assert_false(__atomic_load_n(&w.got, __ATOMIC_SEQ_CST));
    catalog_reader_done(f->c, taken[0]);
    pthread_join(thread, NULL);
    assert_true(w.got);
    for (size_t i = 1; i < COUNT(taken); i++)
        catalog_reader_done(f->c, taken[i]);
}

/* Four are the most that lengthy work has, eight that anything has; the ninth is for what is urgent. */
static void readers_are_kept_for_work_that_is_not_lengthy_and_nobody_waits_for_ever(void **state)
{
    struct fixture *f = *state;
    struct session *taken[9] = {NULL};
    struct err e = {0};
    size_t n = 0;
    for (size_t i = 0; i < 10; i++) {
        struct work_limit limit = {.until = clock_ns() + 20000000, .rows = 1000, .lengthy = i < 5};
        bool fits = i != 4 && i != 9;
        work_limit_set(&limit);
        struct session *s = catalog_reader(f->c, fits ? NULL : &e);
        work_limit_set(NULL);
        assert_int_equal(s != NULL, fits);
        if (s)
            taken[n++] = s;
        assert_int_equal(e.code, fits ? ERR_NONE : ERR_BUSY);
        e = (struct err){0};
    }
    assert_non_null(taken[n++] = catalog_urgent_reader(f->c, &e));
    assert_int_equal(n, COUNT(taken));
    for (size_t i = 0; i < n; i++)
        catalog_reader_done(f->c, taken[i]);
}

/* A statement that gives no row for long ends all the same. */
static void a_statement_stops_at_its_time(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct work_limit limit = {.until = clock_ns() + 20000000, .rows = 1000, .seconds = 0.02};
    struct sql *q = sql_open(f->path, SQL_READER, &e);
    assert_ok(q, e);
    work_limit_set(&limit);
    bool ok = sql_script(q, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", &e);
    work_limit_set(NULL);
    assert_false(ok);
    assert_int_equal(e.code, ERR_BUSY);
    assert_int_equal(limit.why, WORK_TOOK_LONG);
    e = (struct err){0};
    assert_ok(sql_script(q, "SELECT count(*) FROM image", &e), e); /* and the connection is as good as before */
    sql_close(q, false);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_undone_was_never_there_and_the_rest_is_kept),
        cmocka_unit_test(metadata_is_found_by_its_leaves),
        cmocka_unit_test(a_filter_gives_numbers_in_ascending_order_of_its_own_collection_only),
        cmocka_unit_test(pages_of_a_filter_hold_every_image_once_in_order),
        cmocka_unit_test(a_filter_looks_at_the_rows_that_its_conditions_mean),
        cmocka_unit_test(a_vector_of_an_older_revision_is_not_loaded),
        cmocka_unit_test(contradictions_between_tables_are_found),
        cmocka_unit_test(a_damaged_file_is_refused_at_the_start),
        cmocka_unit_test(a_file_of_the_first_schema_is_brought_up_to_date),
        cmocka_unit_test(the_empty_label_of_an_older_file_becomes_none),
        cmocka_unit_test(numbers_that_an_older_file_has_as_plain_reals_are_found),
        cmocka_unit_test(a_reader_waits_for_a_free_session),
        cmocka_unit_test(readers_are_kept_for_work_that_is_not_lengthy_and_nobody_waits_for_ever),
        cmocka_unit_test(a_statement_stops_at_its_time),
    };
    return T_RUN_EACH(tests, open_catalog, close_catalog);
}
