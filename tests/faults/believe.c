/* believe.c - the program as it must not be: it believes what the page cache shows after a failed sync.  Neither is the
 * log written again at the start, nor is it copied into the catalogue's file.  For the tests that prove what this is for.
 */
#include "base/file.h"
#include "base/num.h"
#include "index/catalog/sql.h"

bool __wrap_file_renew(const char *path, struct err *e);
bool __wrap_file_renew(const char *path, struct err *e)
{
    UNUSED(path);
    UNUSED(e);
    return true;
}

bool __real_sql_upkeep(struct sql *q, enum upkeep what, int64_t *owed, struct err *e);
bool __wrap_sql_upkeep(struct sql *q, enum upkeep what, int64_t *owed, struct err *e);
bool __wrap_sql_upkeep(struct sql *q, enum upkeep what, int64_t *owed, struct err *e)
{
    static bool opened;
    bool first = !opened;
    opened = true;
    return __real_sql_upkeep(q, first ? UPKEEP_LOOK : what, owed, e);
}
