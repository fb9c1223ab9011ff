/* keys.c - roles by name, and keys out of random bits. */
#include "api/services/keys.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"

static const char *const role_names[] = {[ROLE_READ] = "read", [ROLE_WRITE] = "write", [ROLE_ADMIN] = "admin"};

const char *role_name(enum role r)
{
    return r == ROLE_NONE ? "none" : role_names[r];
}

bool role_parse(const char *name, enum role *out, struct err *e)
{
    for (size_t r = ROLE_READ; name && r < COUNT(role_names); r++)
        if (strcmp(name, role_names[r]) == 0) {
            *out = (enum role)r;
            return true;
        }
    return err_field(e, "role", "must be \"read\", \"write\" or \"admin\"");
}

bool role_allows(enum role has, enum role needed, struct err *e)
{
    if (has >= needed)
        return true;
    return has == ROLE_NONE ? err_set(e, ERR_UNAUTHENTICATED, "this needs a key")
                            : err_set(e, ERR_FORBIDDEN, "the role of this key does not allow this");
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* n characters, each one of the first `size` of the alphabet. */
static void random_text(char *out, size_t n, unsigned size)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char byte;
        do
            hash_random(&byte, 1);
        while (byte >= 256 / size * size); /* the rest would favour the first ones */
        out[i] = alphabet[byte % size];
    }
    out[n] = 0;
}

/* Makes a new key: fills the row, and the text that is shown this once. */
static void key_make(const char *name, enum role role, struct key_row *row, char text[KEY_TEXT_SIZE])
{
    enum { ID = 8, SECRET = 43 };
    char secret[SECRET + 1];
    *row = (struct key_row){.role = role, .created_at = clock_unix()};
    random_text(row->id, ID, 62); /* no hyphen: a command line would take it for a flag */
    random_text(secret, SECRET, 64);
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(text, KEY_TEXT_SIZE, "anch_%s_%s", row->id, secret);
    hash_bytes(text, strlen(text), row->hash);
}

void key_add_draft(struct write *w, const char *name, enum role role, bool admin_elsewhere, char text[KEY_TEXT_SIZE])
{
    w->kind = WRITE_KEY_ADD;
    w->key.admin_elsewhere = admin_elsewhere;
    key_make(name, role, &w->key.row, text);
}

void key_revoke_draft(struct write *w, const char *id, bool admin_elsewhere)
{
    w->kind = WRITE_KEY_REVOKE;
    w->key.id = id;
    w->key.admin_elsewhere = admin_elsewhere;
}
