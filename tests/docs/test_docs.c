/* test_docs.c - the pages: sentences stay short, and what they name exists. */
#include "tests/t.h"

#include <ctype.h>
#include <glob.h>

#include "base/buf.h"
#include "base/file.h"

enum { LONGEST_SENTENCE = 35, LONGEST_MAP = 150, LONGEST_WALK = 40 };

static const char *const pages[] = {"*.md", "docs/*.md", "docs/internals/*.md", "tests/README.md", NULL};
static const char *const headers[] = {"*/*.h", "*/*/*.h", NULL};
static const char *const sources[] = {"*/*.[ch]", "*/*/*.[ch]", "*/*/*.cc", "tests/*/*/*.[ch]", NULL};

static char *text_of(const char *path)
{
    struct err e = {0};
    void *bytes;
    size_t len;
    assert_ok(file_read(path, 16 << 20, &bytes, &len, &e), e);
    char *text = malloc(len + 1);
    assert_non_null(text);
    memcpy(text, bytes, len);
    text[len] = 0;
    free(bytes);
    return text;
}

static void each(const char *const *patterns, void (*visit)(const char *path, void *context), void *context)
{
    size_t n = 0;
    for (; *patterns; patterns++) {
        glob_t found;
        if (glob(*patterns, 0, NULL, &found) != 0)
            continue;
        for (size_t i = 0; i < found.gl_pathc; i++, n++)
            visit(found.gl_pathv[i], context);
        globfree(&found);
    }
    assert_true(n > 0);
}

/* Sentences.  A paragraph is gathered first; code in backquotes counts as one word. */

struct prose {
    const char *path;
    struct buf paragraph;
    size_t sentences, too_long;
};

static bool ends_sentence(const char *at)
{
    if (*at != '.' && *at != '!' && *at != '?')
        return false;
    for (at++; *at && strchr("\"')*_", *at);)
        at++;
    if (at[0] == ' ' && at[1] == ' ')
        return true;
    if (*at != ' ')
        return *at == 0;
    at += strspn(at, " ");
    return isupper((unsigned char)*at) || isdigit((unsigned char)*at) || strchr("`(\"*_[", *at);
}

static void judge_sentence(struct prose *p, const char *from, const char *to, size_t words)
{
    p->sentences += words > 0;
    if (words <= LONGEST_SENTENCE)
        return;
    p->too_long++;
    print_message("%s: %zu words: %.*s\n", p->path, words, (int)(to - from < 900 ? to - from : 900), from);
}

static void end_paragraph(struct prose *p)
{
    if (!p->paragraph.len)
        return;
    buf_char(&p->paragraph, 0);
    const char *start = p->paragraph.data;
    size_t words = 0;
    bool code = false, counted = false;
    for (const char *s = start; *s; s++) {
        code ^= *s == '`';
        if (*s == ' ' && !code)
            counted = false;
        else if (!counted && (isalnum((unsigned char)*s) || (*s == '`' && code)))
            words++, counted = true;
        if (code || !ends_sentence(s))
            continue;
        judge_sentence(p, start, s, words);
        start = s + 1;
        words = 0;
        counted = false;
    }
    judge_sentence(p, start, start + strlen(start), words);
    buf_clear(&p->paragraph);
}

static bool begins_item(const char *line)
{
    line += strspn(line, " ");
    size_t digits = strspn(line, "0123456789");
    return strncmp(line, "- ", 2) == 0 || strncmp(line, "* ", 2) == 0 ||
           (digits && strncmp(line + digits, ". ", 2) == 0);
}

static void add_line(struct prose *p, const char *line)
{
    const char *text = line + strspn(line, " ");
    bool code = strncmp(line, "    ", 4) == 0 && !p->paragraph.len;
    if (!*text || code || strchr("#|<", *text)) {
        end_paragraph(p);
        return;
    }
    if (begins_item(line))
        end_paragraph(p);
    buf_print(&p->paragraph, "%s%s", p->paragraph.len ? " " : "", text);
}

static void judge_page(const char *path, void *context)
{
    struct prose *p = context;
    p->path = path;
    char *text = text_of(path), *rest = text;
    bool code = false;
    for (char *line; (line = strsep(&rest, "\n"));) {
        bool fence = strncmp(line + strspn(line, " "), "```", 3) == 0;
        code ^= fence;
        add_line(p, code || fence ? "" : line);
    }
    end_paragraph(p);
    free(text);
}

static void judge_header(const char *path, void *context)
{
    struct prose *p = context;
    p->path = path;
    char *text = text_of(path);
    for (char *s = text, *end; (s = strstr(s, "/*")) && (end = strstr(s, "*/")); s = end + 2) {
        *end = 0;
        char *rest = s + 2;
        for (char *line; (line = strsep(&rest, "\n"));) {
            line += strspn(line, " ");
            add_line(p, *line == '*' ? line + 1 + (line[1] == ' ') : line);
        }
        end_paragraph(p);
    }
    free(text);
}

static void sentences_are_short(void **state)
{
    (void)state;
    struct prose p = {0};
    each(pages, judge_page, &p);
    each(headers, judge_header, &p);
    assert_true(p.sentences > 1000);
    assert_int_equal(p.too_long, 0);
}

static void gather(const char *path, void *context)
{
    char *text = text_of(path);
    buf_text(context, text);
    free(text);
}

/* Whether a function of this name stands anywhere in the sources. */
static bool is_called(const struct buf *code, const char *name, size_t len)
{
    for (const char *at = code->data; (at = memmem(at, (size_t)(code->data + code->len - at), name, len)); at += len)
        if (at[len] == '(' && !isalnum((unsigned char)at[-1]) && at[-1] != '_')
            return true;
    return false;
}

static bool file_exists(const char *name)
{
    static const char *const places[] = {"", "*/", "*/*/", "*/*/*/"};
    for (size_t i = 0; i < COUNT(places); i++) {
        char pattern[512];
        snprintf(pattern, sizeof pattern, "%s%s", places[i], name);
        glob_t found;
        bool there = glob(pattern, 0, NULL, &found) == 0;
        if (there)
            globfree(&found);
        if (there)
            return true;
    }
    return false;
}

struct names {
    struct buf code;
    size_t checked, missing;
};

static void check_name(struct names *n, const char *path, const char *name)
{
    size_t len = strlen(name), word = strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789");
    const char *dot = strrchr(name, '.');
    bool call = word && strcmp(name + word, "()") == 0;
    bool file =
        dot && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789-./*") == len &&
        (strcmp(dot, ".c") == 0 || strcmp(dot, ".h") == 0 || strcmp(dot, ".cc") == 0 || strcmp(dot, ".def") == 0);
    if (!call && !file)
        return;
    n->checked++;
    if (call ? is_called(&n->code, name, word) : file_exists(name))
        return;
    n->missing++;
    print_message("%s names %s, which is not there\n", path, name);
}

static void check_page(const char *path, void *context)
{
    char *text = text_of(path), *rest = text;
    strsep(&rest, "`");
    for (char *name; (name = strsep(&rest, "`")); strsep(&rest, "`"))
        check_name(context, path, name);
    free(text);
}

static void what_the_pages_name_exists(void **state)
{
    (void)state;
    static const char *const maps[] = {"README.md", "ARCHITECTURE.md", "docs/*.md", "docs/internals/*.md", NULL};
    struct names n = {0};
    each(sources, gather, &n.code);
    each(maps, check_page, &n);
    buf_clear(&n.code);
    assert_true(n.checked > 100);
    assert_int_equal(n.missing, 0);
}

static void the_map_fits_on_a_page_and_each_walk_on_a_screen(void **state)
{
    (void)state;
    char *text = text_of("ARCHITECTURE.md");
    assert_true(t_times(text, "\n") <= LONGEST_MAP);
    size_t walks = 0;
    for (char *walk = text; (walk = strstr(walk, "\n## Walk ")); walks++) {
        char *end = strstr(++walk, "\n## ");
        assert_non_null(end);
        size_t lines = 0;
        for (char *s = walk; s < end; s++)
            lines += *s == '\n';
        assert_true(lines <= LONGEST_WALK);
    }
    assert_int_equal(walks, 4);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_are_short),
        cmocka_unit_test(what_the_pages_name_exists),
        cmocka_unit_test(the_map_fits_on_a_page_and_each_walk_on_a_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
