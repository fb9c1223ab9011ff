/* fuzz_origin.c - what a request says of itself in Host, Origin and Authorization, and addresses of the settings: only loopback
 * names are ours on loopback, only the same host is the same origin, and a key is well formed or none.
 *
 * An input is two lines: what is read, and a second text to hold it against.
 */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "server/http/address.h"
#include "server/http/auth.h"
#include "server/http/origin.h"
#include "tests/fuzz/fuzz.h"

static void check_hosts(const char *first, const char *second)
{
    char host[] = "anchord.example", page[] = "https://app.example", *hosts_items[] = {host}, *pages_items[] = {page};
    const struct conf_list none = {0}, hosts = {hosts_items, 1}, pages = {pages_items, 1};
    const struct origins loopback = {.hosts = &none, .pages = &none, .loopback = true};
    const struct origins named = {.hosts = &hosts, .pages = &pages};
    if (origin_host_is_ours(&loopback, first))
        FUZZ_CHECK(strcasestr(first, "localhost") || strncmp(first, "127.", 4) == 0 || first[0] == '[');
    if (origin_host_is_ours(&named, first))
        FUZZ_CHECK(strncasecmp(first, "anchord.example", 15) == 0 && (!first[15] || first[15] == ':'));
    const char *slashes = strstr(first, "://");
    enum origin_kind kind = origin_of(&named, first, second);
    if (kind == ORIGIN_SAME)
        FUZZ_CHECK(slashes && strcasecmp(slashes + 3, second) == 0);
    if (kind == ORIGIN_LISTED)
        FUZZ_CHECK(strcasecmp(first, pages_items[0]) == 0);
    FUZZ_CHECK(kind != ORIGIN_NONE);
}

static void check_key(const char *first, const char *second)
{
    const char *key = auth_find_key(first, second, NULL);
    FUZZ_CHECK(key && strlen(key) <= strlen(first));
    if (key_is_well_formed(key))
        FUZZ_CHECK(strlen(key) == KEY_LEN && strncmp(key, "anch_", 5) == 0 && strncasecmp(first, "bearer", 6) == 0);
}

static void check_address(const char *text)
{
    struct address a, again;
    struct err e = {0};
    char url[400];
    if (!address_parse(text, &a, &e)) {
        FUZZ_CHECK(e.code == ERR_BAD_INPUT && e.text[0]);
        return;
    }
    FUZZ_CHECK(a.host[0] && strlen(a.host) < strlen(text));
    if (strpbrk(a.host, "[]")) /* no such host is ever found */
        return;
    address_url(&a, false, url, sizeof url);
    FUZZ_CHECK(address_parse(url + strlen("http://"), &again, &e));
    FUZZ_CHECK(again.port == a.port && strcmp(again.host, a.host) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *first = mem_new(size + 1, 1);
    memcpy(first, data, size);
    char *second = strchr(first, '\n');
    if (second)
        *second++ = 0;
    check_hosts(first, second ? second : "");
    check_key(first, second ? second : "");
    check_address(first);
    free(first);
    return 0;
}
