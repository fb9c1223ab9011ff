/* fuzz_filter.c - filters of any kind: refused with a field's name, or SQLite runs what they become. */
#include <string.h>

#include "base/json.h"
#include "index/filter.h"
#include "tests/fuzz/fuzz.h"

/* An empty catalogue in memory; opened once, never changed. */
static struct sql *catalogue(void)
{
    static struct sql *q;
    if (q)
        return q;
    json_init();
    q = sql_open(":memory:", SQL_READER, NULL);
    FUZZ_CHECK(q && sql_script(q,
                               "CREATE TEMP TABLE image (number INTEGER PRIMARY KEY, collection, label);"
                               "CREATE TEMP TABLE attribute (image, collection, key, number, text, flag);"
                               "INSERT INTO image VALUES (1, 1, 'a'), (2, 1, NULL);"
                               "INSERT INTO attribute VALUES (1, 1, 'n', 1, NULL, NULL), (2, 1, 't', NULL, 'x', NULL);",
                               NULL));
    return q;
}

/* Nothing of the filter's own text may be in the SQL. */
static void check_text(const struct buf *sql)
{
    FUZZ_CHECK(strlen(sql->data) == sql->len);
    FUZZ_CHECK(strspn(sql->data, " ()?,.<>=0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
               sql->len);
}

static void check(const struct filter *f)
{
    struct sql *q = catalogue();
    struct buf sql = {0}, values = {0};
    struct sql_value one = sql_int(1);
    struct err e = {0};
    buf_text(&sql, "SELECT count(*) FROM image WHERE collection = ?1 AND ");
    size_t before = sql.len;
    buf_add(&values, &one, sizeof one);
    filter_sql(f, &sql, &values);
    check_text(&(struct buf){.data = sql.data + before, .len = sql.len - before});
    struct query *r = sql_begin_once(q, sql.data, (const void *)values.data, values.len / sizeof one, &e);
    FUZZ_CHECK(sql_row(r) && sql_get_int(r, 0) >= 0 && sql_get_int(r, 0) <= 2);
    FUZZ_CHECK(!sql_row(r));
    FUZZ_CHECK(sql_end(r, &e) && e.code == ERR_NONE);
    buf_clear(&sql);
    buf_clear(&values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    catalogue();
    struct json *doc = json_parse((const char *)data, size, 0, &e);
    if (!doc)
        return 0;
    struct filter *f = filter_parse(doc, "filter", &e);
    json_free(doc);
    FUZZ_CHECK((f != NULL) == (e.code == ERR_NONE));
    if (f)
        check(f);
    else
        FUZZ_CHECK(e.code == ERR_BAD_INPUT && strncmp(e.param, "filter", 6) == 0 && e.text[0]);
    filter_free(f);
    return 0;
}
