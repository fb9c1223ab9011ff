/* test_api_mending.c - stored vectors that are damaged are made again by the server, and searches are what they were. */
#include "tests/t.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "tests/lib/rig.h"

static int set_up(void **state)
{
    rig_set_up(state);
    rig_fill(rig, 4, 5);
    return 0;
}

static void change_catalogue(const char *sql)
{
    char path[400], *why = NULL;
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/anchord.db", rig->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

static struct outcome ask_by_id(const char *id)
{
    char json[80];
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"limit\":19}", id);
    return rig_json(rig, "POST /v1/collections/default/search", json);
}

/* Until the image is searched by again. */
static struct outcome mended(const char *id)
{
    struct outcome o = ask_by_id(id);
    for (double until = clock_s() + t_patience(20); o.status != 200 && clock_s() < until;) {
        outcome_clear(&o);
        usleep(20000);
        o = ask_by_id(id);
    }
    return o;
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    char path[40];
    assert_int_equal(json_count(outcome_at(b, "data")), 19);
    for (size_t i = 0; i < 19; i++) {
        snprintf(path, sizeof path, "data.%zu.id", i);
        assert_string_equal(outcome_text(a, path), outcome_text(b, path));
        snprintf(path, sizeof path, "data.%zu.score", i);
        assert_true(fabs(outcome_number(a, path) - outcome_number(b, path)) < 1e-5);
    }
}

static void damaged_vectors_are_made_again_and_never_win_a_search(void **state)
{
    UNUSED(state);
    struct outcome before = ask_by_id("p1-1"), after;
    assert_int_equal(before.status, 200);
    change_catalogue("UPDATE vector SET value = CAST(substr(value, 1, 3) || x'7e' || substr(value, 5) AS BLOB)"
                     " WHERE image IN (SELECT number FROM image WHERE id IN ('p1-1', 'p2-0'))");
    rig_reopen(rig);
    for (const char *const *id = (const char *const[]){"p2-0", "p1-1", NULL}; *id; id++) {
        after = mended(*id);
        assert_int_equal(after.status, 200);
        assert_true(outcome_number(&after, "data.0.score") <= 1.0001);
        outcome_clear(&after);
    }
    after = mended("p1-1");
    assert_same(&before, &after);
    outcome_clear(&before);
    outcome_clear(&after);
}

/* Fills the page where the table begins with nonsense. */
static void damage_table(const char *name)
{
    char path[400], sql[120], **rows;
    int n, columns, fd;
    static char nonsense[8192];
    sqlite3 *db;
    memset(nonsense, 0xaa, sizeof nonsense);
    snprintf(path, sizeof path, "%s/anchord.db", rig->dir);
    snprintf(sql, sizeof sql, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_get_table(db, sql, &rows, &n, &columns, NULL), SQLITE_OK);
    assert_int_equal(n, 1);
    long page = strtol(rows[1], NULL, 10);
    sqlite3_free_table(rows);
    sqlite3_close(db);
    assert_true((fd = open(path, O_WRONLY)) >= 0);
    assert_int_equal(pwrite(fd, nonsense, sizeof nonsense, (page - 1) * (off_t)sizeof nonsense),
                     (ssize_t)sizeof nonsense);
    close(fd);
}

static void a_table_of_vectors_that_cannot_be_read_is_made_again(void **state)
{
    UNUSED(state);
    struct outcome before = mended("p1-1"), after;
    rig_shut(rig);
    damage_table("vector");
    rig_start(rig);
    after = mended("p1-1");
    for (double until = clock_s() + t_patience(10); json_count(outcome_at(&after, "data")) < 19 && clock_s() < until;) {
        outcome_clear(&after);
        usleep(20000);
        after = mended("p1-1");
    }
    assert_same(&before, &after);
    outcome_clear(&before);
    outcome_clear(&after);
    rig_reopen(rig);
    after = mended("p1-1");
    assert_int_equal(json_count(outcome_at(&after, "data")), 19);
    outcome_clear(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_of_vectors_that_cannot_be_read_is_made_again),
        cmocka_unit_test(damaged_vectors_are_made_again_and_never_win_a_search),
    };
    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
