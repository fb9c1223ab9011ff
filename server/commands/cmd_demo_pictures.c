/* cmd_demo_pictures.c - `anchord demo-pictures`: a catalogue of drawn pictures, to try anchord without any of
 * one's own. */
#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/num.h"
#include "engine/pictures/draw.h"
#include "server/commands/command.h"

enum { QUALITY = 90, MAX_EACH = 100000 };

/* DIR/<kind>/<seed>.jpg */
static bool write_picture(const char *dir, uint32_t kind, uint64_t seed, uint32_t side, struct err *e)
{
    struct image img = {0};
    struct buf folder = {0}, path = {0}, jpeg = {0};
    buf_print(&folder, "%s/%s", dir, draw_kind_name(kind));
    buf_print(&path, "%s/%llu.jpg", folder.data, (unsigned long long)seed);
    const bool ok = file_make_dirs(folder.data, e) && draw_picture(kind, seed, side, &img, e) &&
                    image_write_jpeg(&img, QUALITY, &jpeg, e) && file_replace(path.data, jpeg.data, jpeg.len, e);
    image_clear(&img);
    buf_clear(&folder);
    buf_clear(&path);
    buf_clear(&jpeg);
    return ok;
}

int cmd_demo_pictures(int argc, char **argv)
{
    const char *each_text = NULL, *from_text = NULL, *side_text = NULL;
    const struct flag flags[] = {{.name = "each", .text = &each_text},
                                 {.name = "from", .text = &from_text},
                                 {.name = "side", .text = &side_text}};
    uint64_t each = 12, from = 1, side = 256;
    struct err e = {0};
    if (!flags_take(&argc, argv, flags, COUNT(flags), &e) || !flag_number("each", each_text, 1, MAX_EACH, &each, &e) ||
        !flag_number("from", from_text, 0, UINT32_MAX, &from, &e) ||
        !flag_number("side", side_text, 8, 4096, &side, &e))
        return command_misused("demo-pictures", &e);
    if (argc != 1) {
        err_set(&e, ERR_BAD_INPUT, "demo-pictures needs the name of one folder");
        return command_misused("demo-pictures", &e);
    }
    for (uint32_t kind = 0; kind < DRAW_KINDS; kind++)
        for (uint64_t seed = from; seed < from + each; seed++)
            if (!write_picture(argv[0], kind, seed, (uint32_t)side, &e))
                return command_failed(&e);
    printf("%llu pictures of %d kinds in %s\n", (unsigned long long)each * DRAW_KINDS, DRAW_KINDS, argv[0]);
    return EXIT_DONE;
}
