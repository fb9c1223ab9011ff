/* setting.h - named values with bounds or choices: what the settings of the program, configurations and requests are read by.
 *
 *     static const char *const fits[] = {"crop", "pad", NULL};
 *     static const struct setting table[] = {
 *         {"warmup", SETTING_REAL, AT(struct run, warmup), .lo = 0, .hi = 0.5},
 *         {"fit", SETTING_CHOICE, AT(struct run, fit), .choices = fits},
 *     };
 *     ok = settings_read(object, "optimizer", &(struct settings_of){table, COUNT(table), &run}, 1, e);
 *
 * A table says where in its owner, a struct, each value lies.  A text or number that is no value of a setting changes
 * nothing.
 */
#ifndef ANCHORD_BASE_SETTING_H
#define ANCHORD_BASE_SETTING_H

#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "base/json_writer.h"

enum setting_kind {
    SETTING_OTHER,  /* known by its name alone: somebody else reads it */
    SETTING_INT,    /* int64_t, uint64_t or uint32_t: a whole number */
    SETTING_REAL,   /* double */
    SETTING_FLAG,   /* bool */
    SETTING_CHOICE, /* int or an enum: the place of a text among the choices */
    SETTING_TEXT    /* char *, owned */
};

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset, size;        /* in its owner: AT() */
    double lo, hi;              /* INT, REAL */
    const char *const *choices; /* NULL at the end */
    const char *wanted;         /* what is told of the values, where it is not the bounds or choices themselves */
    const char *help;
};

#define AT(type, member) .offset = offsetof(type, member), .size = sizeof((type *)0)->member

struct settings_of {
    const struct setting *table;
    size_t n;
    void *owner;
};

/* The place of a text among the choices; -1 when it is none of them, or NULL. */
int choice_find(const char *const *choices, const char *text);
const struct setting *setting_find(const struct setting *table, size_t n, const char *name); /* or NULL */

/* False: it is no value of the setting. */
bool setting_set(const struct setting *s, void *owner, const struct json *value);
bool setting_parse(const struct setting *s, void *owner, const char *text); /* as on command lines: 0.5, true, 1, pad */
/* A member of that name. */
void setting_write(const struct setting *s, const void *owner, struct json_writer *w);
/* "a whole number from 1 to 9", "true or false", "crop, pad", with so many digits and `between` the choices. */
enum { SETTING_VALUES = 160 };
const char *setting_values(const struct setting *s, int digits, const char *between, char out[SETTING_VALUES]);

/* Reads an object whose path is `where` by the tables; a member that is in several goes to all of them.  ERR_BAD_INPUT with its path
 * for one that is unknown or impossible.  Null is as good as not given. */
MUST_CHECK bool settings_read(const struct json *object, const char *where, const struct settings_of *parts, size_t n,
                              struct err *e);
/* "optimizer.momentum" */
enum { SETTING_PATH = 64 };
const char *setting_path(char out[SETTING_PATH], const char *where, const char *name);

#endif
