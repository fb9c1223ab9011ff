/* test_table.c - the hash table against a plain array, under keys that collide. */
#include "tests/t.h"

#include "base/rng.h"
#include "index/vectors/table.h"

static void many_equal_keys_are_all_found_and_removed_one_by_one(void **state)
{
    UNUSED(state);
    struct table t = {0};
    assert_int_equal(table_first(&t, 7), TABLE_END);
    for (size_t i = 0; i < 40; i++)
        table_add(&t, 7, i);
    size_t seen = 0, sum = 0;
    for (size_t at = table_first(&t, 7); at != TABLE_END; at = table_next(&t, 7, at)) {
        seen++;
        sum += table_slot(&t, at);
    }
    assert_int_equal(seen, 40);
    assert_int_equal(sum, 40 * 39 / 2);
    for (size_t left = 40; left > 0; left--)
        table_remove(&t, table_first(&t, 7));
    assert_int_equal(table_first(&t, 7), TABLE_END);
    assert_int_equal(t.n, 0);
    table_clear(&t);
}

/* Keys of 0 to 63 share a few home cells, wrap around the end and shift when one is removed. */
static void random_additions_and_removals_agree_with_an_array(void **state)
{
    UNUSED(state);
    enum { KEYS = 64 };
    size_t oracle[KEYS];
    memset(oracle, 0xff, sizeof oracle);
    struct table t = {0};
    struct rng r = rng_new(3);
    for (size_t step = 0; step < 20000; step++) {
        uint64_t k = rng_below(&r, KEYS), key = k % 2 ? k : (k + 1) << 32 | 15;
        size_t at = table_first(&t, key);
        assert_int_equal(at == TABLE_END, oracle[k] == SIZE_MAX);
        if (at == TABLE_END) {
            table_add(&t, key, step);
            oracle[k] = step;
        } else {
            assert_int_equal(table_slot(&t, at), oracle[k]);
            table_remove(&t, at);
            oracle[k] = SIZE_MAX;
        }
    }
    table_clear(&t);
}

static void texts_hash_by_content_and_seed(void **state)
{
    UNUSED(state);
    char copy[] = "cat.1234567890";
    assert_true(table_hash_text("cat.1234567890", 5) == table_hash_text(copy, 5));
    assert_true(table_hash_text("cat.1234567890", 5) != table_hash_text("cat.1234567890", 6));
    assert_true(table_hash_text("cat.1234567890", 5) != table_hash_text("cat.1234567891", 5));
    assert_true(table_hash_text("", 5) != table_hash_text("a", 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_equal_keys_are_all_found_and_removed_one_by_one),
        cmocka_unit_test(random_additions_and_removals_agree_with_an_array),
        cmocka_unit_test(texts_hash_by_content_and_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
