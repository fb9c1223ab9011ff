/* results_table.c - the table of what was sent, expected and seen. */
#include "tests/lib/results_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int bad;

static FILE *table(void)
{
    const char *path = getenv("RESULTS_TABLE");
    return path ? fopen(path, "a") : NULL;
}

/* A bar would end the cell. */
static void cell(FILE *f, const char *text)
{
    fputs(" ", f);
    for (; *text; text++)
        fprintf(f, *text == '|' ? "\\|" : "%c", *text);
    fputs(" |", f);
}

void result_section(const char *heading)
{
    FILE *f = table();
    printf("\n%s\n", heading);
    if (!f)
        return;
    fprintf(f, "\n## %s\n\n| sent | expected | seen |\n|---|---|---|\n", heading);
    fclose(f);
}

void result_row(bool good, const char *sent, const char *expected, const char *fmt, ...)
{
    char what[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    bad += !good;
    printf("%s %-56s %-34s %s\n", good ? "  " : "!!", sent, expected, what);
    FILE *f = table();
    if (!f)
        return;
    fputs("|", f);
    cell(f, sent);
    cell(f, expected);
    cell(f, what);
    fputs(good ? "\n" : " **not as expected** |\n", f);
    fclose(f);
}

int results_bad(void)
{
    return bad;
}
