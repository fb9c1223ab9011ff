/* catalog.c - the catalogue's file: its schema, its sessions, transactions, copies and checks. */
#include "index/catalog/catalog.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/thread.h"
#include "base/work_limit.h"
#include "index/catalog/catalog_parts.h"

enum { APPLICATION_ID = 0x616e6368 /* "anch" */, WAIT_S = 5 };

/* How many readers there may be at once when somebody asks for one more. */
enum readers { READERS_LENGTHY = 4, READERS_USUAL = 8, READERS_URGENT = 9 };

struct catalog {
    char *path;
    struct session *writer;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    /* guarded by lock */
    struct session *free_readers;
    size_t n_taken;
};

/* ---- the schema: step i leads from user_version i to i + 1 and is never changed once released ---- */

static const char *const steps[] = {
    "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO counter VALUES ('revision', 0);"
    "CREATE TABLE collection ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL,"
    "  generation INTEGER NOT NULL, images INTEGER NOT NULL, created_at INTEGER NOT NULL);"
    "CREATE TABLE generation ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL REFERENCES collection,"
    "  model TEXT NOT NULL, fingerprint TEXT NOT NULL, precision TEXT NOT NULL, dimensions INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL);"
    "CREATE INDEX generation_by_collection ON generation (collection);"
    "CREATE INDEX generation_by_model ON generation (model);"
    "CREATE TABLE image ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL REFERENCES collection,"
    "  id TEXT NOT NULL, revision INTEGER NOT NULL, sha256 TEXT NOT NULL, media_type TEXT NOT NULL,"
    "  width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, label TEXT, metadata TEXT,"
    "  UNIQUE (collection, id));"
    "CREATE INDEX image_by_hash ON image (sha256);"
    "CREATE INDEX image_by_label ON image (collection, label);"
    "CREATE TABLE vector ("
    "  generation INTEGER NOT NULL, image INTEGER NOT NULL, revision INTEGER NOT NULL, value BLOB NOT NULL,"
    "  UNIQUE (generation, image));"
    "CREATE TABLE attribute ("
    "  image INTEGER NOT NULL, collection INTEGER NOT NULL, key TEXT NOT NULL, number, text TEXT, flag INTEGER);"
    "CREATE INDEX attribute_by_image ON attribute (image);"
    "CREATE INDEX attribute_by_value ON attribute (collection, key, text, number, flag, image);"
    "CREATE TABLE model ("
    "  id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, parent TEXT NOT NULL, arch TEXT NOT NULL,"
    "  dimensions INTEGER NOT NULL, size INTEGER NOT NULL, trained INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL, bytes INTEGER NOT NULL, lineage TEXT);"
    "CREATE TABLE key ("
    "  id TEXT PRIMARY KEY, hash BLOB NOT NULL, role INTEGER NOT NULL, name TEXT NOT NULL,"
    "  created_at INTEGER NOT NULL);"
    /* What the query planner shall believe, whatever is stored: a collection is large, so a filter begins with
     * its attributes.  Rows for each value of the first column, of the first two, ... */
    "ANALYZE sqlite_schema;"
    "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES"
    "  ('image', 'image_by_label', '1000000 1000000 1000'),"
    "  ('image', 'sqlite_autoindex_image_1', '1000000 1000000 1'), ('image', 'image_by_hash', '1000000 1'),"
    "  ('attribute', 'attribute_by_value', '3000000 3000000 300000 300 300 300 1'),"
    "  ('attribute', 'attribute_by_image', '3000000 3'),"
    "  ('vector', 'sqlite_autoindex_vector_1', '1000000 1000000 1');"
    "ANALYZE sqlite_schema;",

    /* Several generations of a collection.  Those of before are all active ones (1).  `turn` grows with each
     * retirement.  The first index tells whether a vector is current without a look at the vector. */
    "ALTER TABLE generation ADD COLUMN state INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE generation ADD COLUMN skip_unreadable INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE generation ADD COLUMN activated_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE generation ADD COLUMN retired_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE generation ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE generation ADD COLUMN error TEXT NOT NULL DEFAULT '';"
    "UPDATE generation SET activated_at = created_at;"
    "CREATE INDEX vector_current ON vector (generation, image, revision);"
    "CREATE INDEX vector_unreadable ON vector (generation, image) WHERE length(value) = 0;"
    "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('vector', 'vector_current', '1000000 1000000 1 1');"
    "ANALYZE sqlite_schema;",

    /* The empty label is none. */
    "UPDATE image SET label = NULL WHERE label = '';",

    /* Of a vector's value and place; NULL: of a time before checksums. */
    "ALTER TABLE vector ADD COLUMN checksum INTEGER;",

    /* Pages in the order of time. */
    "CREATE INDEX image_by_creation ON image (collection, created_at, id);"
    "CREATE INDEX image_by_update ON image (collection, updated_at, id);"
    "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('image', 'image_by_creation', '1000000 1000000 100 1'),"
    "  ('image', 'image_by_update', '1000000 1000000 100 1');"
    "ANALYZE sqlite_schema;",

    /* Numbers from 2^63 on have a form of their own: see `codes`. */
    "",
};

/* The next such number behind row *at; false at the end and on failure, which *ok tells. */
static bool next_plain(struct sql *q, int64_t *at, double *number, bool *ok, struct err *e)
{
    struct query *r = sql_begin(q,
                                "SELECT rowid, number FROM attribute"
                                " WHERE rowid > ?1 AND typeof(number) = 'real' AND number >= ?2 ORDER BY rowid LIMIT 1",
                                VALUES(sql_int(*at), sql_real(0x1p63)), e);
    bool found = sql_row(r);
    if (found) {
        *at = sql_get_int(r, 0);
        *number = sql_get_real(r, 1);
    }
    *ok = sql_end(r, e);
    return found && *ok;
}

/* Numbers from 2^63 on that an older version stored as plain reals, stored as filters look for them (filter_tree.h).
 * The row's double is the one that the metadata's text gives, so the text need not be read. */
static bool recode_large_numbers(struct sql *q, struct err *e)
{
    int64_t at = 0;
    double number;
    bool ok;
    while (next_plain(q, &at, &number, &ok, e)) {
        struct scalar s = scalar_real(number);
        if (!sql_run(q, "UPDATE attribute SET number = ?2 WHERE rowid = ?1", VALUES(sql_int(at), scalar_sql(&s)), e))
            return false;
    }
    return ok;
}

/* What SQL cannot say of a step, behind its text. */
static bool (*const codes[COUNT(steps)])(struct sql *q, struct err *e) = {[5] = recode_large_numbers};

/* All tables but `vector`, whose every page is read at the start. */
static const char *const checked[] = {"counter", "collection", "generation", "image", "attribute", "model", "key"};

static bool migrate(struct sql *q, struct err *e)
{
    struct sql_stamp stamp;
    if (!sql_read_stamp(q, &stamp, e))
        return false;
    if (stamp.tables > 0 && stamp.application != APPLICATION_ID)
        return err_set(e, ERR_CONFLICT, "the catalogue was not written by anchord");
    if (stamp.version < 0 || (uint64_t)stamp.version > COUNT(steps))
        return err_set(e, ERR_CONFLICT, "a newer anchord wrote the catalogue (schema %lld, this one knows %zu)",
                       (long long)stamp.version, COUNT(steps));
    for (size_t i = (size_t)stamp.version; i < COUNT(steps); i++)
        if (!sql_script(q, "BEGIN IMMEDIATE", e) || !sql_script(q, steps[i], e) || (codes[i] && !codes[i](q, e)) ||
            !sql_write_stamp(q, APPLICATION_ID, (int64_t)i + 1, e) || !sql_script(q, "COMMIT", e))
            return false; /* closing takes the open transaction back */
    return true;
}

/* As all steps together leave it. */
static const char vector_table[] =
    "CREATE TABLE vector ("
    "  generation INTEGER NOT NULL, image INTEGER NOT NULL, revision INTEGER NOT NULL, value BLOB NOT NULL,"
    "  checksum INTEGER, UNIQUE (generation, image));"
    "CREATE INDEX vector_current ON vector (generation, image, revision);"
    "CREATE INDEX vector_unreadable ON vector (generation, image) WHERE length(value) = 0;";

bool catalog_remake_vectors(struct catalog *c, struct err *e)
{
    struct sql *q = c->writer->q;
    struct err why = {0};
    bool ok = sql_script(q, "BEGIN IMMEDIATE", e) && sql_forget_table(q, "vector", e) &&
              sql_script(q, vector_table, e) && sql_script(q, "COMMIT", e);
    if (!ok)
        catalog_rollback(c->writer);
    else if (!sql_compact(q, &why)) /* the room of the lost pages comes back another time */
        log_warn("catalogue_not_compacted", "why=%s", why.text);
    return ok;
}

static bool quick_check(struct sql *q, struct err *e)
{
    for (size_t i = 0; i < COUNT(checked); i++)
        if (!sql_check(q, checked[i], e))
            return false;
    return true;
}

bool catalog_check_vectors(struct catalog *c, bool *whole, struct err *e)
{
    struct err why = {0};
    *whole = sql_check(c->writer->q, "vector", &why);
    return *whole || why.code == ERR_CORRUPT || err_move(e, &why);
}

/* ---- sessions ---- */

static struct session *session_new(const char *path, enum sql_mode mode, struct err *e)
{
    struct sql *q = sql_open(path, mode, e);
    if (!q)
        return NULL;
    struct session *s = mem_new(1, sizeof *s);
    s->q = q;
    return s;
}

static void session_free(struct session *s, bool damaged)
{
    if (s)
        sql_close(s->q, damaged);
    free(s);
}

static struct catalog *catalog_new(const char *path)
{
    struct catalog *c = mem_new(1, sizeof *c);
    c->path = mem_text(path);
    pthread_mutex_init(&c->lock, NULL);
    cond_init(&c->returned);
    return c;
}

struct catalog *catalog_open_copy(const char *path, struct err *e)
{
    struct catalog *c = catalog_new(path);
    struct session *s = catalog_reader(c, e);
    struct sql_stamp stamp;
    bool ok = s && sql_read_stamp(s->q, &stamp, e) &&
              (stamp.version == (int64_t)COUNT(steps) ||
               err_set(e, ERR_CONFLICT, "the copy has schema %lld, this anchord knows %zu", (long long)stamp.version,
                       COUNT(steps)));
    catalog_reader_done(c, s);
    if (ok)
        return c;
    catalog_close(c, false);
    return NULL;
}

/* Everything that the log has, in the file and synced, before anything is built on it: what a checkpoint of before wrote
 * and could not sync is in the log still, and is written again.  A full disk may put it off, for the log has it all. */
static bool make_sure(struct sql *q, struct err *e)
{
    struct err why = {0};
    return sql_upkeep(q, UPKEEP_SETTLE, NULL, &why) || why.code == ERR_FULL ||
           err_set(e, why.code, "copying the catalogue's log: %s", why.text);
}

struct catalog *catalog_open(const char *path, struct err *e)
{
    struct catalog *c = catalog_new(path);
    c->writer = session_new(path, SQL_WRITER, e);
    if (c->writer && migrate(c->writer->q, e) && quick_check(c->writer->q, e) && make_sure(c->writer->q, e))
        return c;
    catalog_close(c, false);
    return NULL;
}

void catalog_close(struct catalog *c, bool damaged)
{
    if (!c)
        return;
    for (struct session *s; (s = c->free_readers);) {
        c->free_readers = s->next;
        session_free(s, damaged);
    }
    session_free(c->writer, damaged); /* the last one: it empties the log */
    pthread_cond_destroy(&c->returned);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c);
}

struct session *catalog_writer(struct catalog *c)
{
    return c->writer;
}

static int64_t patience(void)
{
    const struct work_limit *limit = work_limit_now();
    int64_t most = clock_ns() + (int64_t)WAIT_S * 1000000000;
    return limit && limit->until < most ? limit->until : most;
}

/* Takes a place among at most `most`. */
static bool take_place(struct catalog *c, enum readers most, struct session **out, struct err *e)
{
    const int64_t until = patience();
    pthread_mutex_lock(&c->lock);
    while (c->n_taken >= (size_t)most && cond_wait_until(&c->returned, &c->lock, until))
        ;
    bool ok = c->n_taken < (size_t)most;
    if (ok) {
        c->n_taken++;
        *out = c->free_readers;
        if (*out)
            c->free_readers = (*out)->next;
    }
    pthread_mutex_unlock(&c->lock);
    return ok || err_set(e, ERR_BUSY, "too many questions are put to the catalogue at once; try again");
}

static void give_place(struct catalog *c, struct session *s)
{
    pthread_mutex_lock(&c->lock);
    if (s) {
        s->next = c->free_readers;
        c->free_readers = s;
    }
    c->n_taken--;
    pthread_cond_broadcast(&c->returned); /* some may have to wait for more places than one */
    pthread_mutex_unlock(&c->lock);
}

static struct session *take_reader(struct catalog *c, enum readers most, struct err *e)
{
    struct session *s = NULL;
    if (!take_place(c, most, &s, e))
        return NULL;
    if (!s)
        s = session_new(c->path, SQL_READER, e);
    if (!s)
        give_place(c, NULL);
    return s;
}

struct session *catalog_reader(struct catalog *c, struct err *e)
{
    const struct work_limit *limit = work_limit_now();
    return take_reader(c, limit && limit->lengthy ? READERS_LENGTHY : READERS_USUAL, e);
}

struct session *catalog_urgent_reader(struct catalog *c, struct err *e)
{
    return take_reader(c, READERS_URGENT, e);
}

void catalog_reader_done(struct catalog *c, struct session *s)
{
    if (s)
        give_place(c, s);
}

/* ---- snapshots ---- */

bool catalog_snapshot(struct session *s, struct err *e)
{
    return sql_run(s->q, "SAVEPOINT snapshot", NO_VALUES, e);
}

void catalog_snapshot_end(struct session *s)
{
    if (sql_in_transaction(s->q) && !sql_run(s->q, "RELEASE snapshot", NO_VALUES, NULL))
        log_error("catalogue", "a snapshot does not end");
}

/* ---- transactions ---- */

bool catalog_begin(struct session *s, struct err *e)
{
    return sql_run(s->q, "BEGIN IMMEDIATE", NO_VALUES, e);
}

bool catalog_commit(struct session *s, struct err *e)
{
    if (sql_run(s->q, "COMMIT", NO_VALUES, e))
        return true;
    catalog_rollback(s);
    return false;
}

void catalog_rollback(struct session *s)
{
    if (sql_in_transaction(s->q) && !sql_run(s->q, "ROLLBACK", NO_VALUES, NULL))
        return; /* nothing more can be done: the next BEGIN fails and says so */
}

bool catalog_mark(struct session *s, struct err *e)
{
    return sql_run(s->q, "SAVEPOINT item", NO_VALUES, e);
}

bool catalog_keep(struct session *s, struct err *e)
{
    return sql_run(s->q, "RELEASE item", NO_VALUES, e);
}

bool catalog_undo(struct session *s)
{
    return sql_in_transaction(s->q) && sql_run(s->q, "ROLLBACK TO item", NO_VALUES, NULL) &&
           sql_run(s->q, "RELEASE item", NO_VALUES, NULL);
}

bool catalog_upkeep(struct session *s, enum upkeep what, int64_t *owed, struct err *e)
{
    return sql_upkeep(s->q, what, owed, e);
}

void catalog_sizes(const struct catalog *c, int64_t *file, int64_t *beside)
{
    sql_sizes(c->path, file, beside);
}

bool catalog_copy(struct session *s, const char *path, struct err *e)
{
    return sql_copy(s->q, path, e);
}

/* The counters and the links between tables, which a check of the file's structure does not know of. */
bool catalog_verify(struct session *s, struct err *e)
{
    static const char *const strays[] = {
        "SELECT count(*) FROM collection c"
        " WHERE images <> (SELECT count(*) FROM image i WHERE i.collection = c.number)"
        "    OR NOT EXISTS (SELECT 1 FROM generation g WHERE g.number = c.generation AND g.collection = c.number"
        "                   AND g.state = 1)",
        "SELECT count(*) FROM generation g WHERE g.state = 1 AND g.number NOT IN (SELECT generation FROM collection)",
        "SELECT count(*) FROM vector WHERE generation NOT IN (SELECT number FROM generation)",
        "SELECT count(*) FROM image WHERE collection NOT IN (SELECT number FROM collection)",
        "SELECT count(*) FROM vector WHERE image NOT IN (SELECT number FROM image)",
        "SELECT count(*) FROM attribute WHERE image NOT IN (SELECT number FROM image)",
    };
    if (!sql_check(s->q, NULL, e))
        return false;
    for (size_t i = 0; i < COUNT(strays); i++) {
        int64_t found;
        if (!sql_number(s->q, strays[i], NO_VALUES, 0, &found, e))
            return false;
        if (found != 0)
            return err_set(e, ERR_CORRUPT, "the catalogue contradicts itself in %lld places", (long long)found);
    }
    return true;
}
