/* test_quota.c - what is charged is given back, small holders find room beside large ones, and a buffer that is refused
 * stays small. */
#include "tests/t.h"

#include "base/buf.h"
#include "base/quota.h"

enum { KB = 1 << 10, MB = 1 << 20 };

static void small_holders_find_room_beside_large_ones(void **state)
{
    UNUSED(state);
    struct quota q;
    quota_init(&q, 8 * MB);
    assert_false(quota_take(&q, 7 * MB + 1, false));
    assert_true(quota_take(&q, 7 * MB, false));
    assert_false(quota_take(&q, 1, false));
    for (int i = 0; i < 16; i++)
        assert_true(quota_take(&q, 64 * KB, true));
    assert_false(quota_take(&q, 1, true));
    quota_give(&q, 8 * MB);
    assert_int_equal(atomic_load(&q.used), 0);
}

static void a_meter_follows_its_buffer(void **state)
{
    UNUSED(state);
    struct quota q;
    quota_init(&q, 8 * MB);
    struct meter m = {.quota = &q, .most = 4 * MB};
    struct buf b = {.meter = &m};
    for (int i = 0; i < 3000; i++)
        buf_print(&b, "%01023d", i);
    assert_int_equal(b.len, 3000 * 1023);
    assert_false(m.refused);
    assert_true(atomic_load(&q.used) >= b.len && atomic_load(&q.used) == b.room);
    assert_true(b.room <= b.len * 5 / 4);
    buf_trim(&b);
    assert_int_equal(atomic_load(&q.used), b.len + 1);
    assert_int_equal(atoi(b.data + 2999 * 1023), 2999);
    size_t len;
    char *data = buf_take(&b, &len);
    assert_int_equal(len, 3000 * 1023);
    assert_int_equal(atomic_load(&q.used), 0);
    free(data);
    buf_text(&b, "again");
    assert_true(atomic_load(&q.used) > 0);
    buf_clear(&b);
    assert_int_equal(atomic_load(&q.used), 0);
}

static void a_buffer_that_is_refused_says_so_and_stays_small(void **state)
{
    UNUSED(state);
    static char piece[100 * KB];
    for (int large = 0; large < 2; large++) {
        struct quota q;
        quota_init(&q, large ? 64 * MB : 2 * MB);
        struct meter m = {.quota = &q, .most = MB};
        struct buf b = {.meter = &m};
        assert_true(large || quota_take(&q, MB, true));
        for (int i = 0; i < 100; i++) {
            buf_add(&b, piece, sizeof piece);
            buf_char(&b, 'x');
            assert_true(b.room <= MB && b.len < b.room && b.data[b.len] == 0);
        }
        assert_true(m.refused);
        assert_int_equal(m.too_large, large);
        buf_clear(&b);
        assert_int_equal(atomic_load(&q.used), large ? 0 : MB);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_holders_find_room_beside_large_ones),
        cmocka_unit_test(a_meter_follows_its_buffer),
        cmocka_unit_test(a_buffer_that_is_refused_says_so_and_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
