/* test_members.c - which images share a row, also when lists are joined. */
#include "tests/t.h"

#include "index/vectors/members.h"

enum { D = 3 };

static const float rows[][D] = {{1, 0, 0}, {0, 1, 0}, {1, 0, 0}, {0, 0, 1}, {0, 1, 0}, {1, 0, 0}};

static void add_all(struct members *m, int64_t first, uint64_t digest)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        members_add(m, i * 10, first + (int64_t)i, digest ? digest : members_digest(rows[i], D), rows[i]);
}

/* The images of row r in a bit set, by their numbers. */
static unsigned images_of(const struct members *m, size_t r)
{
    unsigned set = 0;
    for (uint32_t i = m->heads[r]; i != MEMBERS_END; i = m->twins[i])
        set |= 1U << m->numbers[i];
    return set;
}

static void equal_vectors_share_a_row(void **state)
{
    UNUSED(state);
    struct members m = {.d = D};
    add_all(&m, 0, 0);
    assert_int_equal(m.n, 6);
    assert_int_equal(m.n_rows, 3);
    assert_int_equal(images_of(&m, 0), 1 | 4 | 32);
    assert_int_equal(images_of(&m, 1), 2 | 16);
    assert_int_equal(images_of(&m, 2), 8);
    assert_ptr_equal(m.rows[1], rows[1]);
    members_clear(&m);
    assert_int_equal(m.n, 0);
}

static void equal_digests_alone_do_not_make_vectors_equal(void **state)
{
    UNUSED(state);
    struct members m = {.d = D};
    add_all(&m, 0, 77);
    assert_int_equal(m.n_rows, 3);
    assert_int_equal(images_of(&m, 1), 2 | 16);
    members_clear(&m);
}

static void joined_lists_keep_their_rows_and_share_them(void **state)
{
    UNUSED(state);
    struct members a = {.d = D}, b = {.d = D};
    add_all(&a, 0, 0);
    add_all(&b, 6, 0);
    members_append(&a, &b);
    assert_int_equal(a.n, 12);
    assert_int_equal(a.n_rows, 3);
    assert_int_equal(images_of(&a, 2), 1 << 3 | 1 << 9);
    assert_int_equal(a.slots[11], 50);
    members_clear(&a);
    members_clear(&b);
}

static void digests_tell_vectors_apart_by_every_value(void **state)
{
    UNUSED(state);
    float v[7] = {1, 2, 3, 4, 5, 6, 7};
    uint64_t before = members_digest(v, 7);
    for (size_t i = 0; i < 7; i++) {
        float saved = v[i];
        v[i] = nextafterf(v[i], 10);
        assert_true(members_digest(v, 7) != before);
        v[i] = saved;
    }
    assert_true(members_digest(v, 7) == before);
    assert_true(members_digest(v, 6) != before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_vectors_share_a_row),
        cmocka_unit_test(equal_digests_alone_do_not_make_vectors_equal),
        cmocka_unit_test(joined_lists_keep_their_rows_and_share_them),
        cmocka_unit_test(digests_tell_vectors_apart_by_every_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
