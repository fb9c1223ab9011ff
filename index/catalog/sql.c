/* sql.c - the only user of SQLite's C interface: connections, statements kept by their text, errors. */
#include "index/catalog/sql.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/work_limit.h"

enum {
    KEPT_MAX = 192,
    LENGTH_MAX = 64 << 20,
    WAIT_MS = 5000,
    PAGE_BYTES = 8192,
    LOG_BYTES_MAX = 32 << 20,
    LOOK_EVERY = 1000 /* instructions of SQLite's machine: some 50 microseconds */
};

struct query {
    struct sql *q;
    sqlite3_stmt *st;
    bool once; /* finalised at its end */
    bool in_use;
    struct err failure; /* of a step; told by sql_end() */
};

struct sql {
    sqlite3 *db;
    int log_pages, log_copied; /* pages in the write-ahead log; how many of them are in the file, too */
    size_t n_kept;
    const char *kept_text[KEPT_MAX];
    struct query *kept[KEPT_MAX];
};

/* ---- errors ---- */

/* What the system said is fresh for these codes only: SQLite notes it when it meets them. */
static enum err_code code_of_io(sqlite3 *db, int rc)
{
    int reason = db ? sqlite3_system_errno(db) : 0;
    bool grows = rc == SQLITE_IOERR_WRITE || rc == SQLITE_IOERR_SHMSIZE || rc == SQLITE_IOERR_SHMMAP;
    if ((rc & 0xff) == SQLITE_CANTOPEN && (reason == EMFILE || reason == ENFILE))
        return ERR_BUSY; /* passes by itself */
    return grows && (reason == ENOSPC || reason == EDQUOT) ? ERR_FULL : ERR_IO;
}

static enum err_code code_of(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL: return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_BUSY;
    case SQLITE_CONSTRAINT: return ERR_CONFLICT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ERR_CORRUPT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: return code_of_io(db, rc);
    case SQLITE_PROTOCOL:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return ERR_IO;
    case SQLITE_TOOBIG: return ERR_TOO_LARGE;
    default: return ERR_INTERNAL;
    }
}

static bool fail(struct sql *q, const char *what, struct err *e)
{
    int rc = sqlite3_extended_errcode(q->db);
    if (rc == SQLITE_INTERRUPT)
        return work_limit_err(e);
    return err_set(e, code_of(q->db, rc), "catalogue: %s: %s (%d)", what, sqlite3_errmsg(q->db), rc);
}

/* ---- connections ---- */

static int must_stop(void *arg)
{
    UNUSED(arg);
    return !work_limit_holds();
}

static int count_log_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
    UNUSED(db);
    UNUSED(name);
    struct sql *q = arg;
    if (pages < q->log_copied) /* the log began anew */
        q->log_copied = 0;
    q->log_pages = pages;
    return SQLITE_OK;
}

static bool set_up(struct sql *q, enum sql_mode mode, struct err *e)
{
    static const char both[] = "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;"
                               "PRAGMA mmap_size = 0; PRAGMA cache_size = -16384; PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 0;";
    sqlite3_limit(q->db, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
    sqlite3_busy_timeout(q->db, WAIT_MS);
    sqlite3_db_config(q->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_progress_handler(q->db, LOOK_EVERY, must_stop, NULL);
    if (mode == SQL_WRITER) {
        bool wal = false;
        if (!sql_script(q, "PRAGMA page_size = 8192", e)) /* three vectors of 512 in a page; new files only */
            return false;
        struct query *r = sql_begin(q, "PRAGMA journal_mode = WAL", NO_VALUES, e);
        if (sql_row(r))
            wal = strcmp(sql_get_text(r, 0), "wal") == 0;
        if (!sql_end(r, e))
            return false;
        if (!wal)
            return err_set(e, ERR_IO, "catalogue: the file system does not allow a write-ahead log");
    }
    if (!sql_script(q, both, e))
        return false;
    sqlite3_wal_hook(q->db, count_log_pages, q); /* after wal_autocheckpoint, which sets a hook of its own */
    return true;
}

/* The log before anybody reads it: a process before this one may have met a failed sync, and what is shown of it since may
 * not be on the disk.  Commits behind such a hole would be acknowledged, and end with it when the power goes. */
static bool renew_log(const char *path, struct err *e)
{
    struct buf log = {0};
    buf_print(&log, "%s-wal", path);
    bool ok = file_renew(log.data, e);
    buf_clear(&log);
    return ok || err_wrap(e, "catalogue");
}

struct sql *sql_open(const char *path, enum sql_mode mode, struct err *e)
{
    if (mode == SQL_WRITER && !renew_log(path, e))
        return NULL;
    struct sql *q = mem_new(1, sizeof *q);
    int flags = mode == SQL_WRITER ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    int rc = sqlite3_open_v2(path, &q->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK) {
        err_set(e, code_of(q->db, rc), "catalogue: opening %s: %s", path,
                q->db ? sqlite3_errmsg(q->db) : "out of memory");
    } else if (set_up(q, mode, e)) {
        return q;
    }
    sql_close(q, false);
    return NULL;
}

void sql_close(struct sql *q, bool damaged)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->n_kept; i++) {
        sqlite3_finalize(q->kept[i]->st);
        free(q->kept[i]);
    }
    if (damaged)
        sqlite3_db_config(q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(q->db);
    free(q);
}

/* ---- statements ---- */

static struct query *prepare(struct sql *q, const char *text, bool once, struct err *e)
{
    sqlite3_stmt *st = NULL;
    unsigned flags = once ? 0 : SQLITE_PREPARE_PERSISTENT;
    if (sqlite3_prepare_v3(q->db, text, -1, flags, &st, NULL) != SQLITE_OK) {
        fail(q, "preparing", e);
        return NULL;
    }
    struct query *r = mem_new(1, sizeof *r);
    *r = (struct query){.q = q, .st = st, .once = once};
    return r;
}

static struct query *kept(struct sql *q, const char *text, struct err *e)
{
    for (size_t i = 0; i < q->n_kept; i++)
        if (q->kept_text[i] == text)
            return q->kept[i];
    assert(q->n_kept < KEPT_MAX); /* the texts are constants of the program: they are counted */
    struct query *r = prepare(q, text, false, e);
    if (r) {
        q->kept_text[q->n_kept] = text;
        q->kept[q->n_kept++] = r;
    }
    return r;
}

static int bind_one(sqlite3_stmt *st, int i, const struct sql_value *v)
{
    switch (v->kind) {
    case SQL_INT: return sqlite3_bind_int64(st, i, v->i);
    case SQL_REAL: return sqlite3_bind_double(st, i, v->r);
    case SQL_TEXT: /* NULL text binds SQL's NULL */ return sqlite3_bind_text(st, i, v->text, -1, SQLITE_STATIC);
    case SQL_BLOB: return sqlite3_bind_blob64(st, i, v->blob, v->len, SQLITE_STATIC);
    case SQL_NULL:
    default: return sqlite3_bind_null(st, i);
    }
}

static struct query *start(struct query *r, const struct sql_value *v, size_t n, struct err *e)
{
    if (!r)
        return NULL;
    assert(!r->in_use);
    r->in_use = true;
    for (size_t i = 0; i < n; i++)
        if (bind_one(r->st, to_int(i + 1), &v[i]) != SQLITE_OK) {
            fail(r->q, "binding a parameter", e);
            sql_end(r, NULL);
            return NULL;
        }
    return r;
}

struct query *sql_begin(struct sql *q, const char *text, const struct sql_value *v, size_t n, struct err *e)
{
    return start(kept(q, text, e), v, n, e);
}

struct query *sql_begin_once(struct sql *q, const char *text, const struct sql_value *v, size_t n, struct err *e)
{
    return start(prepare(q, text, true, e), v, n, e);
}

bool sql_row(struct query *r)
{
    if (!r)
        return false;
    int rc = sqlite3_step(r->st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        fail(r->q, "running a statement", &r->failure);
    if (rc == SQLITE_ROW && !work_limit_take_row())
        return work_limit_err(&r->failure);
    return rc == SQLITE_ROW;
}

bool sql_end(struct query *r, struct err *e)
{
    if (!r)
        return false;
    struct err failure = r->failure;
    if (r->once) {
        sqlite3_finalize(r->st);
        free(r);
    } else {
        sqlite3_reset(r->st); /* tells the last step's failure once more, which sql_row() has noted */
        sqlite3_clear_bindings(r->st);
        r->in_use = false;
        r->failure = (struct err){0};
    }
    return failure.code == ERR_NONE || err_move(e, &failure);
}

bool sql_run(struct sql *q, const char *text, const struct sql_value *v, size_t n, struct err *e)
{
    struct query *r = sql_begin(q, text, v, n, e);
    sql_row(r);
    return sql_end(r, e);
}

bool sql_script(struct sql *q, const char *text, struct err *e)
{
    return sqlite3_exec(q->db, text, NULL, NULL, NULL) == SQLITE_OK || fail(q, "running a script", e);
}

bool sql_number(struct sql *q, const char *text, const struct sql_value *v, size_t n, int64_t otherwise, int64_t *out,
                struct err *e)
{
    struct query *r = sql_begin(q, text, v, n, e);
    *out = sql_row(r) ? sql_get_int(r, 0) : otherwise;
    return sql_end(r, e);
}

/* ---- answers ---- */

int64_t sql_get_int(struct query *r, int column)
{
    return sqlite3_column_int64(r->st, column);
}

double sql_get_real(struct query *r, int column)
{
    return sqlite3_column_double(r->st, column);
}

bool sql_is_null(struct query *r, int column)
{
    return sqlite3_column_type(r->st, column) == SQLITE_NULL;
}

const char *sql_get_text(struct query *r, int column)
{
    return (const char *)sqlite3_column_text(r->st, column);
}

const void *sql_get_blob(struct query *r, int column, size_t *len)
{
    const void *blob = sqlite3_column_blob(r->st, column);
    *len = (size_t)sqlite3_column_bytes(r->st, column);
    return blob;
}

void sql_copy_text(struct query *r, int column, char *out, size_t size)
{
    const char *text = sql_get_text(r, column);
    size_t n = text ? strnlen(text, size - 1) : 0;
    if (n)
        memcpy(out, text, n);
    out[n] = 0;
}

int64_t sql_last_id(struct sql *q)
{
    return sqlite3_last_insert_rowid(q->db);
}

int64_t sql_changed(struct sql *q)
{
    return sqlite3_changes64(q->db);
}

/* ---- what is the engine's own ---- */

bool sql_read_stamp(struct sql *q, struct sql_stamp *out, struct err *e)
{
    return sql_number(q, "PRAGMA application_id", NO_VALUES, 0, &out->application, e) &&
           sql_number(q, "PRAGMA user_version", NO_VALUES, 0, &out->version, e) &&
           sql_number(q, "SELECT count(*) FROM sqlite_schema", NO_VALUES, 0, &out->tables, e);
}

bool sql_write_stamp(struct sql *q, int64_t application, int64_t version, struct err *e)
{
    char text[96];
    snprintf(text, sizeof text, "PRAGMA application_id = %lld; PRAGMA user_version = %lld", (long long)application,
             (long long)version);
    return sql_script(q, text, e);
}

bool sql_check(struct sql *q, const char *table, struct err *e)
{
    char text[64] = "PRAGMA integrity_check";
    bool fine = false;
    if (table)
        snprintf(text, sizeof text, "PRAGMA quick_check(%s)", table);
    struct query *r = sql_begin_once(q, text, NO_VALUES, e);
    if (sql_row(r)) { /* "ok" or a list of what is wrong */
        const char *found = sql_get_text(r, 0);
        fine = found && strcmp(found, "ok") == 0;
        if (!fine)
            err_set(e, ERR_CORRUPT, "the catalogue is damaged: %s", found ? found : "no answer");
    }
    return sql_end(r, e) && fine;
}

bool sql_forget_table(struct sql *q, const char *table, struct err *e)
{
    char text[160];
    snprintf(
        text, sizeof text,
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE tbl_name = '%s'; PRAGMA writable_schema = RESET",
        table);
    sqlite3_db_config(q->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
    bool ok = sql_script(q, text, e);
    sqlite3_db_config(q->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return ok;
}

bool sql_compact(struct sql *q, struct err *e)
{
    return sql_script(q, "VACUUM", e);
}

bool sql_copy(struct sql *q, const char *path, struct err *e)
{
    return sql_run(q, "VACUUM INTO ?1", VALUES(sql_text(path)), e);
}

/* Copies the log into the file; `empty` also cuts it to nothing, unless a reader still needs it. */
static bool checkpoint(struct sql *q, bool empty, struct err *e)
{
    int in_log = 0, copied = 0;
    sqlite3_busy_timeout(q->db, 0); /* a reader in the way is left alone: the next turn gets further */
    int rc = sqlite3_wal_checkpoint_v2(q->db, NULL, empty ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
                                       &in_log, &copied);
    sqlite3_busy_timeout(q->db, WAIT_MS);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
        return fail(q, "checkpoint", e);
    if (in_log >= 0) {
        q->log_pages = in_log;
        q->log_copied = copied;
    }
    return true;
}

static bool keep_log(struct sql *q)
{
    int keep = 1;
    sqlite3_file_control(q->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
    return true;
}

static bool do_upkeep(struct sql *q, enum upkeep what, struct err *e)
{
    switch (what) {
    case UPKEEP_COMMIT: /* by its length: a reader may have kept it from beginning anew, and then each group is a chance */
        return (int64_t)q->log_pages * PAGE_BYTES < LOG_BYTES_MAX || checkpoint(q, false, e);
    case UPKEEP_SETTLE: return checkpoint(q, false, e);
    case UPKEEP_SHRINK: return checkpoint(q, true, e);
    case UPKEEP_RESERVE: return keep_log(q);
    case UPKEEP_LOOK:
    default: return true;
    }
}

bool sql_upkeep(struct sql *q, enum upkeep what, int64_t *owed, struct err *e)
{
    bool ok = do_upkeep(q, what, e);
    if (owed)
        *owed = (int64_t)(q->log_pages - q->log_copied) * PAGE_BYTES;
    return ok;
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : 0;
}

void sql_sizes(const char *path, int64_t *file, int64_t *beside)
{
    struct buf log = {0};
    buf_print(&log, "%s-wal", path);
    *file = size_of(path);
    *beside = size_of(log.data);
    buf_clear(&log);
}

bool sql_in_transaction(struct sql *q)
{
    return !sqlite3_get_autocommit(q->db);
}
