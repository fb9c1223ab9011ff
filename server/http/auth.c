/* auth.c - the table of keys in memory. */
#include "server/http/auth.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/work_limit.h"

struct auth {
    struct auth_source source;
    bool exposed;
    pthread_rwlock_t lock;
    /* guarded by lock */
    struct key_row own; /* from the settings; role ROLE_NONE: there is none */
    struct key_row *rows;
    size_t n;
    unsigned version;
};

bool key_is_well_formed(const char *key)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return strlen(key) == KEY_LEN && !memcmp(key, "anch_", 5) && strspn(key + 5, alphabet) == KEY_LEN - 5 &&
           key[5 + KEY_ID] == '_';
}

/* Sockets wait for whoever reads the keys, so it may not take long. */
enum { LOAD_SECONDS = 1 };

static bool load_locked(struct auth *a, unsigned version, struct err *e)
{
    struct key_row *rows = NULL;
    size_t n = 0;
    struct work_limit limit = {
        .until = clock_ns() + (int64_t)LOAD_SECONDS * 1000000000, .rows = INT64_MAX, .seconds = LOAD_SECONDS};
    struct work_limit *before = work_limit_set(&limit);
    bool ok = a->source.list(a->source.context, &rows, &n, e);
    work_limit_set(before);
    if (!ok)
        return false;
    free(a->rows);
    a->rows = rows;
    a->n = n;
    a->version = version;
    return true;
}

/* Takes the lock for reading, with the table as fresh as the source.  A refresh is one small query, and so
 * rare that the thread that notices may do it. */
static bool lock_fresh(struct auth *a, struct err *e)
{
    unsigned version = a->source.version(a->source.context);
    bool ok = true;
    pthread_rwlock_rdlock(&a->lock);
    if (a->version == version)
        return true;
    pthread_rwlock_unlock(&a->lock);
    pthread_rwlock_wrlock(&a->lock);
    if (a->version != version)
        ok = load_locked(a, version, e);
    pthread_rwlock_unlock(&a->lock);
    if (ok)
        pthread_rwlock_rdlock(&a->lock);
    return ok;
}

bool auth_change_admin_key(struct auth *a, const char *admin_key, struct err *e)
{
    struct key_row own = {.role = ROLE_ADMIN};
    if (!key_is_well_formed(admin_key))
        return err_set(e, ERR_BAD_INPUT, "admin_key: not a key (anch_, 8 characters, _, 43 characters)");
    memcpy(own.id, admin_key + 5, KEY_ID);
    hash_bytes(admin_key, KEY_LEN, own.hash);
    pthread_rwlock_wrlock(&a->lock);
    a->own = own;
    pthread_rwlock_unlock(&a->lock);
    return true;
}

struct auth *auth_new(const struct auth_source *source, const char *admin_key, bool exposed, struct err *e)
{
    struct auth *a = mem_new(1, sizeof *a);
    a->source = *source;
    a->exposed = exposed;
    pthread_rwlock_init(&a->lock, NULL);
    if ((admin_key && *admin_key && !auth_change_admin_key(a, admin_key, e)) ||
        !load_locked(a, source->version(source->context), e)) {
        auth_free(a);
        return NULL;
    }
    return a;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    pthread_rwlock_destroy(&a->lock);
    free(a->rows);
    free(a);
}

bool auth_has_keys(struct auth *a)
{
    struct err e = {0};
    if (!lock_fresh(a, &e))
        return true;
    bool any = a->n > 0 || a->own.role != ROLE_NONE;
    pthread_rwlock_unlock(&a->lock);
    return any;
}

/* The id is public and may be compared as it comes; the rest of the key only ever meets the hash. */
static const struct key_row *find_locked(const struct auth *a, const char *key)
{
    if (a->own.role != ROLE_NONE && !memcmp(a->own.id, key + 5, KEY_ID))
        return &a->own;
    for (size_t i = 0; i < a->n; i++)
        if (!strncmp(a->rows[i].id, key + 5, KEY_ID) && a->rows[i].id[KEY_ID] == 0)
            return &a->rows[i];
    return NULL;
}

static bool check_locked(const struct auth *a, const char *key, struct caller *out, struct err *e)
{
    unsigned char hash[HASH_SIZE];
    if (a->n == 0 && a->own.role == ROLE_NONE && !a->exposed) {
        out->role = ROLE_ADMIN;
        return true;
    }
    if (!key)
        return err_set(e, ERR_UNAUTHENTICATED, "a key is needed: send it as `Authorization: Bearer KEY`");
    if (key_is_well_formed(key)) {
        const struct key_row *row = find_locked(a, key);
        hash_bytes(key, KEY_LEN, hash);
        if (row && hash_equal(hash, row->hash, HASH_SIZE)) {
            out->role = row->role;
            memcpy(out->key_id, row->id, sizeof out->key_id);
            return true;
        }
    }
    return err_set(e, ERR_UNAUTHENTICATED, "this key is not known here");
}

bool auth_check(struct auth *a, const char *key, struct caller *out, struct err *e)
{
    struct err why = {0};
    *out = (struct caller){0};
    if (!lock_fresh(a, &why)) {
        log_error("keys", "why=%s", why.text);
        return err_set(e, ERR_INTERNAL, "the keys cannot be read");
    }
    bool ok = check_locked(a, key, out, e);
    pthread_rwlock_unlock(&a->lock);
    return ok;
}

const char *auth_find_key(const char *authorization, const char *api_key, const char *x_api_key)
{
    if (!authorization)
        return api_key ? api_key : x_api_key;
    if (strncasecmp(authorization, "bearer ", 7) != 0)
        return "";
    return authorization + 7 + strspn(authorization + 7, " ");
}
