/* test_auth.c - keys and roles, changes while running, hosts and origins. */
#include "tests/t.h"

#include "base/mem.h"
#include "server/http/address.h"
#include "server/http/auth.h"
#include "server/http/origin.h"

#define KEY_A "anch_AAAAAAAA_0123456789012345678901234567890123456789-_x"
#define KEY_B "anch_BBBBBBBB_0123456789012345678901234567890123456789-_y"
#define KEY_C "anch_CCCCCCCC_0123456789012345678901234567890123456789-_z"

struct book { /* a source of keys */
    unsigned version;
    struct key_row rows[4];
    size_t n;
    bool broken;
};

static unsigned version(void *context)
{
    return ((struct book *)context)->version;
}

static bool list(void *context, struct key_row **out, size_t *n, struct err *e)
{
    struct book *b = context;
    if (b->broken)
        return err_set(e, ERR_IO, "broken");
    *out = mem_dup(b->rows, b->n * sizeof *b->rows);
    *n = b->n;
    return true;
}

static void add(struct book *b, const char *key, enum role role)
{
    struct key_row *row = &b->rows[b->n++];
    *row = (struct key_row){.role = role};
    memcpy(row->id, key + 5, KEY_ID);
    hash_bytes(key, strlen(key), row->hash);
    b->version++;
}

static struct auth *open_auth(struct book *b, const char *own, bool exposed)
{
    struct err e = {0};
    struct auth *a = auth_new(&(struct auth_source){b, version, list}, own, exposed, &e);
    if (!a)
        fail_msg("%s", e.text);
    return a;
}

static void a_key_has_its_role_and_nothing_else_has_one(void **state)
{
    UNUSED(state);
    struct book b = {0};
    struct caller who;
    struct err e = {0};
    add(&b, KEY_A, ROLE_READ);
    add(&b, KEY_B, ROLE_ADMIN);
    struct auth *a = open_auth(&b, KEY_C, false);
    assert_ok(auth_check(a, KEY_A, &who, &e), e);
    assert_int_equal(who.role, ROLE_READ);
    assert_string_equal(who.key_id, "AAAAAAAA");
    assert_ok(auth_check(a, KEY_B, &who, &e), e);
    assert_int_equal(who.role, ROLE_ADMIN);
    assert_ok(auth_check(a, KEY_C, &who, &e), e);
    assert_int_equal(who.role, ROLE_ADMIN);
    char wrong[KEY_LEN + 2] = KEY_A;
    for (size_t i = 0; i < KEY_LEN; i++) {
        wrong[i] ^= 1;
        assert_err(auth_check(a, wrong, &who, &e), e, ERR_UNAUTHENTICATED);
        assert_int_equal(who.role, ROLE_NONE);
        wrong[i] ^= 1;
    }
    wrong[KEY_LEN] = 'x';
    assert_err(auth_check(a, wrong, &who, &e), e, ERR_UNAUTHENTICATED);
    assert_err(auth_check(a, "", &who, &e), e, ERR_UNAUTHENTICATED);
    assert_err(auth_check(a, NULL, &who, &e), e, ERR_UNAUTHENTICATED);
    auth_free(a);
}

static void without_any_key_everybody_may_unless_the_server_is_exposed(void **state)
{
    UNUSED(state);
    struct book b = {0};
    struct caller who;
    struct err e = {0};
    struct auth *open = open_auth(&b, NULL, false), *exposed = open_auth(&b, "", true);
    assert_false(auth_has_keys(open));
    assert_ok(auth_check(open, NULL, &who, &e), e);
    assert_int_equal(who.role, ROLE_ADMIN);
    assert_ok(auth_check(open, "whatever", &who, &e), e);
    assert_err(auth_check(exposed, NULL, &who, &e), e, ERR_UNAUTHENTICATED);
    add(&b, KEY_A, ROLE_READ); /* the first key closes the door at once */
    assert_true(auth_has_keys(open));
    assert_err(auth_check(open, NULL, &who, &e), e, ERR_UNAUTHENTICATED);
    auth_free(open);
    auth_free(exposed);
}

static void a_revoked_key_ends_at_once(void **state)
{
    UNUSED(state);
    struct book b = {0};
    struct caller who;
    struct err e = {0};
    add(&b, KEY_A, ROLE_WRITE);
    add(&b, KEY_B, ROLE_WRITE);
    struct auth *a = open_auth(&b, NULL, true);
    assert_ok(auth_check(a, KEY_B, &who, &e), e);
    b.n = 1;
    b.version++;
    assert_err(auth_check(a, KEY_B, &who, &e), e, ERR_UNAUTHENTICATED);
    assert_ok(auth_check(a, KEY_A, &who, &e), e);
    b.broken = true;
    b.version++;
    assert_err(auth_check(a, KEY_A, &who, &e), e, ERR_INTERNAL);
    auth_free(a);
}

static void a_setting_that_is_no_key_is_refused(void **state)
{
    UNUSED(state);
    struct book b = {0};
    struct err e;
    static const char *const bad[] = {"secret", "anch_AAAAAAAA_short", KEY_A "x",
                                      "Anch_AAAAAAAA_0123456789012345678901234567890123456789-_x",
                                      "anch_AAAAAAAA_0123456789012345678901234567890123456789-/x"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_err(auth_new(&(struct auth_source){&b, version, list}, bad[i], false, &e) != NULL, e, ERR_BAD_INPUT);
}

static void the_key_is_found_in_three_headers(void **state)
{
    UNUSED(state);
    assert_string_equal(auth_find_key("Bearer k", NULL, NULL), "k");
    assert_string_equal(auth_find_key("bearer   k", "other", "other"), "k");
    assert_string_equal(auth_find_key(NULL, "k", "other"), "k");
    assert_string_equal(auth_find_key(NULL, NULL, "k"), "k");
    assert_string_equal(auth_find_key("Basic k", NULL, NULL), "");
    assert_null(auth_find_key(NULL, NULL, NULL));
}

static void foreign_hosts_and_origins_are_told_apart(void **state)
{
    UNUSED(state);
    char name[] = "img.example", page[] = "https://app.example", all[] = "*";
    char *names[] = {name}, *pages[] = {page}, *any[] = {all};
    struct conf_list none = {0}, hosts = {names, 1}, listed = {pages, 1}, star = {any, 1};
    struct origins local = {&none, &none, true, false}, wide = {&none, &listed, false, false},
                   named = {&hosts, &star, true, false}, far = {&hosts, &none, false, false},
                   near = {&hosts, &none, false, true};
    static const char *const ours[] = {"localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "a.localhost"};
    static const char *const theirs[] = {"evil.example",
                                         "evil.example:8080",
                                         "127.0.0.1.evil.example",
                                         "",
                                         ":80",
                                         "localhost.evil.example",
                                         "10.0.0.1",
                                         "[::2]",
                                         "localhost:x",
                                         "localhost:80:80",
                                         "localhost:123456",
                                         "[::1",
                                         "[::1]x"};
    for (size_t i = 0; i < COUNT(ours); i++)
        assert_true(origin_host_is_ours(&local, ours[i]));
    for (size_t i = 0; i < COUNT(theirs); i++)
        assert_false(origin_host_is_ours(&local, theirs[i]));
    assert_true(origin_host_is_ours(&local, NULL));
    assert_true(origin_host_is_ours(&wide, "anything.example"));
    assert_true(origin_host_is_ours(&named, "IMG.example:443"));
    assert_true(origin_host_is_ours(&named, "localhost"));
    assert_false(origin_host_is_ours(&named, "evil.example"));
    assert_false(origin_host_is_ours(&far, "127.0.0.1:80"));
    assert_true(origin_host_is_ours(&near, "127.0.0.1:80"));
    assert_false(origin_host_is_ours(&near, "evil.example"));
    assert_int_equal(origin_of(&wide, NULL, "a"), ORIGIN_NONE);
    assert_int_equal(origin_of(&wide, "http://a:1", "a:1"), ORIGIN_SAME);
    assert_int_equal(origin_of(&wide, "http://a:2", "a:1"), ORIGIN_FOREIGN);
    assert_int_equal(origin_of(&wide, "null", "null"), ORIGIN_FOREIGN);
    assert_int_equal(origin_of(&wide, "https://app.example", "a"), ORIGIN_LISTED);
    assert_string_equal(origin_allow(&wide, "https://app.example"), "https://app.example");
    assert_string_equal(origin_allow(&named, "https://b"), "*");
}

static void addresses_are_parsed_and_listened_on(void **state)
{
    UNUSED(state);
    struct address a;
    struct err e = {0};
    char url[320];
    assert_ok(address_parse("[::1]:8080", &a, &e), e);
    address_url(&a, true, url, sizeof url);
    assert_string_equal(url, "https://[::1]:8080");
    static const char *const bad[] = {"",        "8080", "localhost", "localhost:", ":80",
                                      "a:65536", "a:-1", "a:1x",      "::1:80",     "[]:1"};
    for (size_t i = 0; i < COUNT(bad); i++)
        if (address_parse(bad[i], &a, &e) || e.code != ERR_BAD_INPUT)
            fail_msg("%s was taken", bad[i]);
    bool loopback;
    e = (struct err){0};
    assert_ok(address_parse("127.0.0.1:0", &a, &e), e);
    int fd = address_listen(&a, 5, &loopback, &e);
    assert_true(fd >= 0 && loopback && a.port > 0);
    struct address same = a;
    assert_int_equal(address_listen(&same, 5, &loopback, &e), -1);
    assert_int_equal(e.code, ERR_IO);
    close(fd);
    assert_ok(address_parse("0.0.0.0:0", &a, &(struct err){0}), e);
    fd = address_listen(&a, 5, &loopback, &e);
    assert_true(fd >= 0 && !loopback);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_its_role_and_nothing_else_has_one),
        cmocka_unit_test(without_any_key_everybody_may_unless_the_server_is_exposed),
        cmocka_unit_test(a_revoked_key_ends_at_once),
        cmocka_unit_test(a_setting_that_is_no_key_is_refused),
        cmocka_unit_test(the_key_is_found_in_three_headers),
        cmocka_unit_test(foreign_hosts_and_origins_are_told_apart),
        cmocka_unit_test(addresses_are_parsed_and_listened_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
