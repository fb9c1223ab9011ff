/* sql.h - a thin layer over a database, SQLite: one connection, its prepared statements, typed parameters, errors.
 *
 *     struct sql *q = sql_open(path, SQL_WRITER, e);
 *     if (!q || !sql_run(q, "DELETE FROM image WHERE number = ?1", VALUES(sql_int(7)), e)) ...
 *
 *     struct query *r = sql_begin(q, "SELECT id FROM image WHERE collection = ?1", VALUES(sql_int(1)), e);
 *     while (sql_row(r))
 *         puts(sql_get_text(r, 0));
 *     return sql_end(r, e);
 *
 * The text of sql_run() and sql_begin() is a constant: its statement is prepared once and kept by the text's address.
 * A text that is put together at run time goes through sql_begin_once().  Only catalog*.c run SQL; a `struct sql`
 * belongs to one thread at a time.
 *
 * A statement stops when the work at hand has to (work_limit.h): ERR_BUSY or ERR_TOO_LARGE.
 *
 * Errors: a full disk is ERR_FULL, a damaged file ERR_CORRUPT, a broken constraint ERR_CONFLICT.  A lock that did not
 * come in time is ERR_BUSY, and any other refusal of the disk ERR_IO.
 */
#ifndef ANCHORD_INDEX_CATALOG_SQL_H
#define ANCHORD_INDEX_CATALOG_SQL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "index/catalog/upkeep.h"

struct sql;
struct query; /* a running statement */

enum sql_mode { SQL_WRITER, SQL_READER }; /* the writer creates the file and sets the write-ahead log */

struct sql *sql_open(const char *path, enum sql_mode mode, struct err *e); /* NULL on failure */
/* `damaged`: leave the write-ahead log alone, it is not to be trusted.  NULL is fine. */
void sql_close(struct sql *q, bool damaged);

/* ---- parameters ---- */

enum sql_kind { SQL_NULL, SQL_INT, SQL_REAL, SQL_TEXT, SQL_BLOB };

struct sql_value { /* borrowed until the statement ends */
    enum sql_kind kind;
    int64_t i;
    double r;
    const char *text; /* NULL: SQL's NULL */
    const void *blob;
    size_t len;
};

static inline struct sql_value sql_int(int64_t v)
{
    return (struct sql_value){.kind = SQL_INT, .i = v};
}
static inline struct sql_value sql_real(double v)
{
    return (struct sql_value){.kind = SQL_REAL, .r = v};
}
static inline struct sql_value sql_text(const char *v)
{
    return (struct sql_value){.kind = SQL_TEXT, .text = v};
}
static inline struct sql_value sql_blob(const void *v, size_t len)
{
    return (struct sql_value){.kind = SQL_BLOB, .blob = v, .len = len};
}

/* The parameters ?1, ?2, ... as two arguments: the array and its length. */
#define VALUES(...)                                                                                                    \
    (const struct sql_value[]){__VA_ARGS__}, sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value)
#define NO_VALUES NULL, 0

/* ---- statements ---- */

/* Several statements without parameters or answers. */
MUST_CHECK bool sql_script(struct sql *q, const char *text, struct err *e);
/* One statement without an answer. */
MUST_CHECK bool sql_run(struct sql *q, const char *text, const struct sql_value *v, size_t n, struct err *e);
/* Starts a statement that answers rows.  NULL on failure, which sql_row() and sql_end() accept. */
struct query *sql_begin(struct sql *q, const char *text, const struct sql_value *v, size_t n, struct err *e);
struct query *sql_begin_once(struct sql *q, const char *text, const struct sql_value *v, size_t n, struct err *e);
bool sql_row(struct query *r); /* steps to the next row; false at the end and on failure */
/* Ends the statement, wherever it stands, and says whether all went well. */
bool sql_end(struct query *r, struct err *e);
/* The first column of the first row, or `otherwise` when there is no row. */
MUST_CHECK bool sql_number(struct sql *q, const char *text, const struct sql_value *v, size_t n, int64_t otherwise,
                           int64_t *out, struct err *e);

int64_t sql_get_int(struct query *r, int column);
double sql_get_real(struct query *r, int column);
const char *sql_get_text(struct query *r, int column); /* until the next row; NULL for SQL's NULL */
bool sql_is_null(struct query *r, int column);
const void *sql_get_blob(struct query *r, int column, size_t *len);
/* Copies a text column into out, cut to fit; "" for NULL. */
void sql_copy_text(struct query *r, int column, char *out, size_t size);

int64_t sql_last_id(struct sql *q);
int64_t sql_changed(struct sql *q); /* rows that the last statement touched */

/* ---- what is the engine's own ---- */

/* Whose file it is and of which version; 0 in a new one. */
struct sql_stamp {
    int64_t application, version, tables;
};
MUST_CHECK bool sql_read_stamp(struct sql *q, struct sql_stamp *out, struct err *e);
MUST_CHECK bool sql_write_stamp(struct sql *q, int64_t application, int64_t version, struct err *e);
/* Whether the structure of a table (NULL: of all the file, with what its columns and indexes promise) is whole:
 * ERR_CORRUPT. */
MUST_CHECK bool sql_check(struct sql *q, const char *table, struct err *e);
/* Within a transaction: takes a table and its indexes out of the schema without looking at their pages, which may be
 * damaged.  The pages stay lost until the file is written anew (sql_compact()). */
MUST_CHECK bool sql_forget_table(struct sql *q, const char *table, struct err *e);
MUST_CHECK bool sql_compact(struct sql *q, struct err *e);
MUST_CHECK bool sql_copy(struct sql *q, const char *path, struct err *e); /* as of now, into a new file; not synced */

/* See upkeep.h; the writer's connection only.  *owed (may be NULL): bytes afterwards, also of one that failed.  A reader
 * in the way is no failure. */
MUST_CHECK bool sql_upkeep(struct sql *q, enum upkeep what, int64_t *owed, struct err *e);
/* Bytes on disk: of the file at `path`, and of what is beside it for the engine's own use. */
void sql_sizes(const char *path, int64_t *file, int64_t *beside);

/* False when the transaction is gone: SQLite rolls back by itself after some failures. */
bool sql_in_transaction(struct sql *q);

#endif
