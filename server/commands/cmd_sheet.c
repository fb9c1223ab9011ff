/* cmd_sheet.c - `anchord sheet`: a contact sheet, from rows of file names on standard input.
 *
 * The names of a row are separated by tabs.  A mark in front of a name picks its frame: '=' what was searched
 * for (blue), '+' right (green), '-' wrong (red).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/sheet.h"
#include "server/commands/command.h"

enum { MAX_ROWS = 1000 };

struct rows {
    char *lines[MAX_ROWS]; /* owned, without the newline */
    size_t n, columns;
};

static bool read_rows(struct rows *r, struct err *e)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while (r->n < MAX_ROWS && (len = getline(&line, &room, stdin)) > 0) {
        size_t columns = 1;
        line[strcspn(line, "\n")] = 0;
        for (const char *p = line; (p = strchr(p, '\t')); p++)
            columns++;
        r->columns = max_size(r->columns, columns);
        r->lines[r->n++] = mem_text(line);
    }
    free(line);
    return r->n > 0 || err_set(e, ERR_BAD_INPUT, "there is no row of file names on standard input");
}

static void free_rows(struct rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->lines[i]);
}

static bool place_file(struct sheet *s, size_t column, size_t row, const char *word, struct err *e)
{
    static const char marks[] = {[SHEET_BLUE] = '=', [SHEET_GREEN] = '+', [SHEET_RED] = '-'};
    enum sheet_frame frame = SHEET_PLAIN;
    struct image img = {0};
    void *bytes = NULL;
    size_t len;
    for (size_t i = SHEET_BLUE; i < COUNT(marks); i++)
        if (word[0] == marks[i])
            frame = (enum sheet_frame)i;
    const char *path = frame == SHEET_PLAIN ? word : word + 1;
    const bool ok = file_read(path, image_default_limits.bytes, &bytes, &len, e) &&
                    image_decode(bytes, len, &image_default_limits, s->side, &img, e) &&
                    sheet_place(s, (uint32_t)column, (uint32_t)row, &img, frame, e);
    image_clear(&img);
    free(bytes);
    return ok || err_wrap(e, "%s", path);
}

static bool fill_sheet(struct sheet *s, const struct rows *r, struct err *e)
{
    for (size_t row = 0; row < r->n; row++) {
        char *rest = r->lines[row], *word;
        for (size_t column = 0; (word = strsep(&rest, "\t")); column++)
            if (*word && !place_file(s, column, row, word, e))
                return false;
    }
    return true;
}

static bool make_sheet(const char *path, uint32_t side, struct err *e)
{
    struct rows *rows = mem_new(1, sizeof *rows);
    struct sheet s = {.side = side};
    struct buf png = {0};
    bool ok = read_rows(rows, e);
    s.columns = (uint32_t)rows->columns;
    s.rows = (uint32_t)rows->n;
    ok = ok && sheet_init(&s, e) && fill_sheet(&s, rows, e) && image_write_png(&s.image, &png, e) &&
         file_replace(path, png.data, png.len, e);
    buf_clear(&png);
    sheet_clear(&s);
    free_rows(rows);
    free(rows);
    return ok;
}

int cmd_sheet(int argc, char **argv)
{
    const char *side_text = NULL;
    const struct flag flags[] = {{.name = "side", .text = &side_text}};
    uint64_t side = 96;
    struct err e = {0};
    if (!flags_take(&argc, argv, flags, COUNT(flags), &e) || !flag_number("side", side_text, 8, 1024, &side, &e))
        return command_misused("sheet", &e);
    if (argc != 1) {
        err_set(&e, ERR_BAD_INPUT, "sheet needs the name of the PNG file to write");
        return command_misused("sheet", &e);
    }
    return make_sheet(argv[0], (uint32_t)side, &e) ? EXIT_DONE : command_failed(&e);
}
