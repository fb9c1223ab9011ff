/* test_report.c - a run's log read as a killed process leaves it, and a page that is whole, true and harmless. */
#include "tests/t.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/pictures/image.h"
#include "engine/training/report.h"
#include "engine/training/report_chart.h"
#include "engine/training/report_log.h"

#define START                                                                                                          \
    "{\"event\":\"start\",\"time\":1764100000,\"config\":{\"data\":\"d\",\"method\":{\"type\":\"triplet\"},\"views\":" \
    "2,\"temperature\":0.1},"                                                                                          \
    "\"images\":20000,\"held_out\":2000,\"steps\":400,\"arch\":\"resnet18 small1\",\"parameters\":11168832}\n"
#define FIGURES_OF(recall, queries)                                                                                    \
    "{\"queries\":" queries ",\"recall@1\":" recall ",\"instance_recall@1\":null,\"knn_20\":0.5,\"std\":0.04}"

static void write_text(const char *dir, const char *name, const void *text, size_t len)
{
    char path[400];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(file_replace(path, text, len, &e), e);
}

static void write_log(const char *dir, const char *text)
{
    write_text(dir, "log.jsonl", text, strlen(text));
}

/* The page of this log; the caller's to free. */
static char *page_of(const char *dir, const char *log)
{
    char path[400];
    void *text = NULL;
    size_t len = 0;
    struct err e = {0};
    write_log(dir, log);
    snprintf(path, sizeof path, "%s/report.html", dir);
    assert_ok(report_write(dir, NULL, &e) && file_read(path, 64 << 20, &text, &len, &e), e);
    assert_int_equal(strlen(text), len);
    return text;
}

static void assert_has(const char *page, const char *text)
{
    if (!strstr(page, text))
        fail_msg("the page lacks: %s", text);
}

static void assert_lacks(const char *page, const char *text)
{
    if (strstr(page, text))
        fail_msg("the page has: %.80s", strstr(page, text));
}

/* Each element that begins also ends, and in the right order. */
static void assert_whole(const char *page)
{
    char open[64][16];
    size_t depth = 0;
    for (const char *at = strchr(page, '<'); at; at = strchr(at + 1, '<')) {
        const char *stop = strchr(at, '>');
        char name[16] = "";
        const bool closing = at[1] == '/';
        assert_non_null(stop);
        sscanf(at + 1 + closing, "%15[a-z0-9]", name);
        if (at[1] == '!' || stop[-1] == '/' || strcmp(name, "meta") == 0 || strcmp(name, "img") == 0)
            continue;
        if (!closing) {
            assert_true(depth < COUNT(open));
            strcpy(open[depth++], name);
        } else if (!depth || strcmp(open[--depth], name) != 0)
            fail_msg("</%s> closes <%s>", name, open[depth]);
    }
    assert_int_equal(depth, 0);
}

/* ---- the log ---- */

static void what_is_done_again_counts_once_and_a_torn_line_not_at_all(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct report_log log;
    struct err e = {0};
    write_log(
        dir,
        START "{\"event\":\"evaluation\",\"step\":0,\"figures\":" FIGURES_OF(
            "0.1", "7") ",\"best\":true}\n"
                        "{\"event\":\"step\",\"step\":10,\"loss\":4}\n{\"event\":\"step\",\"step\":20,\"loss\":3.5}\n"
                        "{\"event\":\"step\",\"step\":30,\"loss\":9}\n{\"event\":\"evaluation\",\"step\":30,"
                        "\"figures\":{\"recall@1\":0.9},\"best\":true}\n"
                        "{\"event\":\"warning\",\"step\":20,\"message\":\"stays\"}\n{\"event\":\"warning\",\"step\":30,"
                        "\"message\":\"goes\"}\n"
                        "{\"event\":\"end\",\"step\":30,\"reason\":\"cancelled\"}\n"
                        "{\"event\":\"resume\",\"step\":20}\n{\"event\":\"step\",\"step\":30,\"loss\":3}\n"
                        "not a line\n{\"event\":\"step\",\"step\":\"x\"}\n\n"
                        "{\"event\":\"step\",\"step\":40,\"loss\":2.5}\n{\"event\":\"step\",\"step\":30,\"loss\":2.75}"
                        "\n" /* no resume was logged */
                        "{\"event\":\"step\",\"step\":40,\"loss\":null}\n{\"event\":\"step\",\"step\":50,\"lo");
    assert_ok(report_log_read(&log, dir, &e), e);
    assert_int_equal(log.n_steps, 4);
    static const double steps[] = {10, 20, 30, 40}, losses[] = {4, 3.5, 2.75};
    for (size_t i = 0; i < 4; i++)
        assert_true(log.steps[i].step == steps[i] &&
                    (i == 3 ? isnan(log.steps[i].loss) : log.steps[i].loss == losses[i]));
    assert_true(log.n_evaluations == 1 && log.evaluations[0].figures[FIGURE_RECALL_1] == 0.1 &&
                log.evaluations[0].best);
    assert_true(log.evaluations[0].queries == 7 && isnan(log.evaluations[0].figures[FIGURE_INSTANCE]));
    assert_int_equal(log.n_warnings, 1);
    assert_string_equal(log.warnings[0].message, "stays");
    assert_null(log.end);
    assert_true(log.n_resumes == 1 && log.unreadable == 2);
    report_log_clear(&log);
    write_log(
        dir,
        "{\"event\":\"step\",\"step\":10}\n{\"event\":\"step\",\"step\":20}\n{\"event\":\"resume\",\"step\":10}\n");
    assert_ok(report_log_read(&log, dir, &e), e);
    assert_int_equal(log.n_steps, 1);
    report_log_clear(&log);
    write_log(dir, "{\"event\":\"step\",\"step\":10,\"loss\":4}\n{\"event\":\"end\",\"step\":1}\n" START);
    assert_ok(report_log_read(&log, dir, &e), e);
    assert_true(log.n_steps == 0 && !log.end && log.start); /* a run that was begun anew in the same folder */
    report_log_clear(&log);
    t_remove_dir(dir);
}

static void without_a_log_there_is_no_report(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[400];
    struct err e = {0};
    assert_err(report_write(dir, NULL, &e), e, ERR_NOT_FOUND);
    write_log(dir, "{\"event\":\"resume\",\"step\":4}\nhello\n");
    assert_err(report_write(dir, NULL, &e), e, ERR_CORRUPT);
    snprintf(path, sizeof path, "%s/report.html", dir);
    assert_int_not_equal(access(path, F_OK), 0);
    t_remove_dir(dir);
}

/* ---- curves ---- */

static char *drawn(const double *y, size_t n, bool dots, double best)
{
    struct buf out = {0};
    double *x = mem_new(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (double)i * 10;
    const bool any = chart_draw(
        &(struct chart){.title = "T", .x = x, .y = y, .n = n, .until = NAN, .best = best, .dots = dots}, &out);
    free(x);
    assert_int_equal(any, out.len > 0);
    return any ? buf_take(&out, NULL) : NULL;
}

static void a_curve_goes_through_its_points(void **state)
{
    UNUSED(state);
    const double y[] = {1, NAN, 3, 2};
    char *svg = drawn(y, 4, true, 20);
    /* 302 pixels for 0 .. 30, 136 for 0.88 .. 3.12 */
    assert_has(svg, "<path class=\"line\" d=\"M46.0 138.7L247.3 17.3L348.0 78.0\"/>");
    assert_has(svg, "<circle class=\"best\" cx=\"247.3\" cy=\"17.3\"");
    assert_has(svg, "<title>step 20 (best): 3.000</title>");
    assert_has(svg, "<path class=\"mark\" d=\"M247.3 10V146\"/>");
    assert_has(svg, "text-anchor=\"middle\">20</text>");
    assert_has(svg, ">3</text>");
    assert_whole(svg);
    free(svg);
}

static void many_points_become_a_band_that_holds_them_all(void **state)
{
    UNUSED(state);
    enum { N = 10000 };
    double *y = mem_new(N, sizeof *y);
    size_t points = 0;
    for (size_t i = 0; i < N; i++)
        y[i] = i == 5030 ? 10 : (double)(i % 2);
    char *svg = drawn(y, N, false, NAN);
    const char *line = strstr(svg, "class=\"line\""), *band = strstr(svg, "class=\"band\"");
    assert_true(line && band && strlen(svg) < 12000);
    for (const char *p = line; *p != '/'; p++)
        points += *p == 'L' || *p == 'M';
    assert_int_equal(points, 150);
    assert_non_null(strstr(band, " 17.3")); /* the peak, though its bucket's mean is about 0.6 */
    assert_null(strstr(line, " 17.3"));
    assert_has(svg, ">5</text>"); /* the scale reaches up to it */
    free(svg);
    svg = drawn(y, 1, false, NAN);
    assert_has(svg, "<circle"); /* a line of one point would not be seen */
    free(svg);
    free(y);
}

static void no_value_breaks_a_curve(void **state)
{
    UNUSED(state);
    static const double cases[][4] = {{NAN, NAN, 2, 2},
                                      {1e300, 1, -1e300, 2},
                                      {INFINITY, -INFINITY, 0, 1e29},
                                      {1e-300, 1e-301, 0, 0},
                                      {-5, -5, -5, -5},
                                      {1e29, -1e29, 1, 1},
                                      {0, 0, 0, 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *svg = drawn(cases[i], 4, i % 2, NAN);
        assert_lacks(svg, "nan");
        assert_lacks(svg, "inf");
        assert_true(strlen(svg) < 4000);
        assert_whole(svg);
        free(svg);
    }
    static const double none[4] = {NAN, INFINITY, NAN, NAN};
    assert_null(drawn(none, 4, true, 10));
    assert_null(drawn(none, 0, false, 10));
}

static void ticks_are_round_and_inside(void **state)
{
    UNUSED(state);
    static const struct {
        double low, high, first, step;
        size_t n;
        int decimals;
    } cases[] = {{0, 1, 0, 0.5, 3, 1},
                 {0.31, 0.64, 0.4, 0.1, 3, 1},
                 {-3, 5, -2, 2, 4, 0},
                 {0, 390, 0, 100, 4, 0},
                 {0.0011, 0.0029, 0.0015, 0.0005, 3, 4}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct ticks t = chart_ticks(cases[i].low, cases[i].high, 4);
        assert_true(fabs(t.first - cases[i].first) < 1e-9 && fabs(t.step - cases[i].step) < 1e-9);
        assert_int_equal(t.n, cases[i].n);
        assert_int_equal(t.decimals, cases[i].decimals);
    }
}

/* ---- the page ---- */

static void the_page_tells_before_after_and_how_sure_that_is(void **state)
{
    UNUSED(state);
    static const struct {
        const char *queries, *before, *after, *low, *high, *interval, *says[2];
    } cases[] = {{"2000",
                  "0.3",
                  "0.6",
                  "0.27",
                  "0.33",
                  "<small>+0.270 to +0.330</small>",
                  {"clear of zero", "Judged by 2,000 queries."}},
                 {"2000",
                  "0.3",
                  "0.31",
                  "-0.01",
                  "0.03",
                  "<small>−0.0100 to +0.0300</small>",
                  {"may be chance", "\"soft\">+0.0100<"}},
                 {"2000",
                  "0.3",
                  "0.2",
                  "-0.12",
                  "-0.08",
                  "<small>−0.120 to −0.0800</small>",
                  {"has become worse", "\"bad\">−0.100<"}},
                 {"99",
                  "0.3",
                  "0.6",
                  "0.2",
                  "0.4",
                  "<small>+0.200 to +0.400</small>",
                  {"Judged by 99 queries only", "below 100 nothing is promoted"}}};
    char *dir = t_make_dir(), log[2000];
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(log, sizeof log,
                 START "{\"event\":\"step\",\"step\":1,\"loss\":4,\"learning_rate\":0.1}\n"
                       "{\"event\":\"end\",\"step\":400,\"reason\":\"done\",\"seconds\":903,\"best_step\":300,"
                       "\"before\":{\"recall@1\":%s,\"queries\":%s},"
                       "\"after\":{\"recall@1\":%s,\"queries\":%s,\"linear_probe\":0.7},\"gain\":{\"mean\":0,\"low\":%"
                       "s,\"high\":%s},\"message\":\"said already\"}\n",
                 cases[i].before, cases[i].queries, cases[i].after, cases[i].queries, cases[i].low, cases[i].high);
        char *page = page_of(dir, log);
        assert_has(page, cases[i].says[0]);
        assert_has(page, cases[i].says[1]);
        assert_has(page, "Done at step 400 of 400, after 15 min 3 s; begun 2025-11-25 19:46 UTC");
        assert_has(page, "<b>0.300</b>");
        assert_non_null(strstr(strstr(page, "<small>the nearest picture"), cases[i].interval));
        assert_has(page, "Linear probe");
        assert_lacks(page, "Few-shot");
        assert_has(page, "<dt>parameters</dt><dd>11,168,832</dd>");
        assert_has(page, "<dt>method.type</dt><dd>triplet</dd>");
        assert_has(page, "<dt>temperature</dt><dd>0.1</dd>");
        assert_has(page, "resnet18 small1 with triplet");
        assert_lacks(page, "said already");
        assert_has(page, "<h3>Loss<span");
        assert_lacks(page, "<h3>Effective rank");
        assert_whole(page);
        free(page);
    }
    t_remove_dir(dir);
}

static void a_run_that_has_not_ended_is_shown_as_far_as_it_is(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    char *page = page_of(dir, START);
    assert_has(page, "Not ended yet at step 0 of 400");
    assert_lacks(page, "Before");
    assert_whole(page);
    free(page);
    page = page_of(
        dir, START
        "{\"event\":\"evaluation\",\"step\":0,\"figures\":{\"queries\":500,\"instance_recall@1\":0.25},\"best\":true}\n"
        "{\"event\":\"evaluation\",\"step\":10,\"figures\":{\"queries\":500,\"instance_recall@1\":0.75},\"best\":true}"
        "\n"
        "{\"event\":\"evaluation\",\"step\":20,\"figures\":{\"queries\":500,\"instance_recall@1\":0.5},\"best\":false}"
        "\n"
        "{\"event\":\"step\",\"step\":20,\"loss\":1,\"seconds\":7300}\nbroken\n{\"event\":\"warning\",\"step\":20,"
        "\"message\":\"look out\"}\n");
    assert_has(page, "Not ended yet at step 20 of 400, after 2 h 1 min");
    assert_has(page, "Instance recall@1, on pictures that were not trained on");
    assert_has(page, ">+0.500</b>");
    assert_has(page, "step 10 (best): 0.750");
    assert_has(page, "Step 20: look out");
    assert_has(page, "Lines of the log that could not be read: 1");
    assert_whole(page);
    free(page);
    t_remove_dir(dir);
}

static void hostile_text_is_only_text_and_nothing_is_loaded(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    char *page = page_of(
        dir,
        "{\"event\":\"start\",\"arch\":\"<b onclick='x'>\",\"config\":{\"data\":\"</dd><script>alert(1)</script>\","
        "\"a<i>\":\"&\",\"list\":[\"<u>\"],\"method\":{\"type\":\"\\\"><svg onload=x>\"}},\"processor\":\"<img "
        "src=http://x>\"}\n"
        "{\"event\":\"warning\",\"step\":1,\"message\":\"<script>w</script>\"}\n"
        "{\"event\":\"end\",\"step\":1,\"reason\":\"<em>\",\"message\":\"<iframe>\",\"before\":{},\"after\":{}}\n");
    assert_has(page, "&lt;script&gt;alert(1)&lt;/script&gt;");
    assert_has(page, "&lt;b onclick=&#39;x&#39;&gt;");
    assert_has(page, "&quot;&gt;&lt;svg onload=x&gt;");
    assert_has(page, "<dt>a&lt;i&gt;</dt><dd>&amp;</dd>");
    static const char *const never[] = {"<script", "<b onclick", "<svg onload", "<i>",     "<u>", "<em>",
                                        "<iframe", "<img",       "<link",       "@import", "url("};
    for (size_t i = 0; i < COUNT(never); i++)
        assert_lacks(page, never[i]);
    assert_has(page, "default-src 'none'");
    assert_whole(page);
    free(page);
    t_remove_dir(dir);
}

static void the_sheet_lies_inside_the_page(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[400];
    struct image img;
    struct buf png = {0}, text = {0};
    struct err e = {0};
    assert_ok(image_new(12, 9, &img, &e) && image_write_png(&img, &png, &e), e);
    base64_encode(png.data, png.len, &text);
    write_text(dir, "sheet.png", png.data, png.len);
    char *page = page_of(dir, START);
    assert_has(page, "src=\"data:image/png;base64,");
    assert_has(page, text.data);
    assert_whole(page);
    free(page);
    snprintf(path, sizeof path, "%s/log.jsonl", dir);
    assert_err(report_write(dir, path, &e), e, ERR_BAD_INPUT); /* not a picture */
    assert_err(report_write(dir, "/nowhere/sheet.png", &e), e, ERR_NOT_FOUND);
    image_clear(&img);
    buf_clear(&png);
    buf_clear(&text);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_done_again_counts_once_and_a_torn_line_not_at_all),
        cmocka_unit_test(without_a_log_there_is_no_report),
        cmocka_unit_test(a_curve_goes_through_its_points),
        cmocka_unit_test(many_points_become_a_band_that_holds_them_all),
        cmocka_unit_test(no_value_breaks_a_curve),
        cmocka_unit_test(ticks_are_round_and_inside),
        cmocka_unit_test(the_page_tells_before_after_and_how_sure_that_is),
        cmocka_unit_test(a_run_that_has_not_ended_is_shown_as_far_as_it_is),
        cmocka_unit_test(hostile_text_is_only_text_and_nothing_is_loaded),
        cmocka_unit_test(the_sheet_lies_inside_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
