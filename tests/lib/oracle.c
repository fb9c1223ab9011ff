/* oracle.c - reading the golden cases. */
#include "tests/lib/oracle.h"

#include "tests/t.h"

#include "base/file.h"

static struct json *oracles;

int oracle_load(void **state)
{
    UNUSED(state);
    void *text;
    size_t len;
    struct err e = {0};
    if (!file_read("tests/golden/oracles.json", 1 << 20, &text, &len, &e))
        fail_msg("%s", e.text);
    oracles = json_parse(text, len, 1 << 24, &e);
    free(text);
    return oracles ? 0 : -1;
}

int oracle_free(void **state)
{
    UNUSED(state);
    json_free(oracles);
    return 0;
}

const struct json *oracle_case(const char *id)
{
    const struct json *cases = json_member(oracles, "cases");
    for (size_t i = 0; i < json_count(cases); i++)
        if (strcmp(json_as_text(json_member(json_item(cases, i), "id"), NULL), id) == 0)
            return json_item(cases, i);
    fail_msg("no oracle %s", id);
    return NULL;
}

const struct json *oracle_input(const char *id, const char *key)
{
    return json_member(json_member(oracle_case(id), "inputs"), key);
}

const struct json *oracle_result(const char *id, const char *key)
{
    return json_member(json_member(oracle_case(id), "intermediates"), key);
}

double oracle_number(const struct json *object, const char *key)
{
    double x = (double)NAN;
    if (!json_as_number(json_member(object, key), &x))
        fail_msg("no number %s", key);
    return x;
}

double oracle_setting(const char *id, const char *key)
{
    return oracle_number(json_member(oracle_case(id), "hyperparameters"), key);
}

static void take_number(const struct json *v, float *out)
{
    double x;
    if (!json_as_number(v, &x))
        fail_msg("an oracle holds something else than a number");
    else
        *out = (float)x;
}

size_t oracle_rows(const struct json *list, float *out, size_t *d)
{
    size_t n = json_count(list);
    *d = 1;
    for (size_t i = 0; i < n; i++) {
        const struct json *row = json_item(list, i);
        if (json_kind(row) != JSON_KIND_LIST) {
            take_number(row, out + i);
            continue;
        }
        *d = json_count(row);
        for (size_t k = 0; k < *d; k++)
            take_number(json_item(row, k), out + i * *d + k);
    }
    return n;
}
