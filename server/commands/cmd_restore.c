/* cmd_restore.c - `anchord restore BACKUP`: a backup into an empty or new data folder. */
#include <stdio.h>

#include "base/num.h"
#include "index/store.h"
#include "server/commands/command.h"

static void tell(const struct flaws *left_out)
{
    for (size_t i = 0; i < left_out->n; i++) {
        const struct flaw *f = &left_out->items[i];
        char line[sizeof f->collection + sizeof f->id + 64];
        snprintf(line, sizeof line, "left out: %s %s%s%s, whose file is %s", f->collection[0] ? "image" : "model",
                 f->collection, f->collection[0] ? "/" : "", f->id, f->missing ? "missing" : "damaged");
        make_printable(line);
        fprintf(stderr, "%s\n", line);
    }
    if (left_out->files > 0)
        fprintf(stderr, "left out: %lld files in all\n", (long long)left_out->files);
}

int cmd_restore(int argc, char **argv)
{
    bool skip = false;
    const struct flag flags[] = {{.name = "skip-damaged", .on = &skip}};
    struct flaws left_out = {0};
    struct conf c;
    struct err e = {0};
    int code = command_begin("restore", &c, &argc, argv, flags, COUNT(flags));
    if (code == EXIT_DONE && argc != 1) {
        err_set(&e, ERR_BAD_INPUT, "restore takes one backup folder");
        code = command_misused("restore", &e);
    } else if (code == EXIT_DONE && store_restore(argv[0], c.data, skip ? &left_out : NULL, &e)) {
        tell(&left_out);
        printf("restored %s into %s: `anchord serve --data %s` serves it\n", argv[0], c.data, c.data);
    } else if (code == EXIT_DONE) {
        bool damaged = is_flaw(&e) && !skip;
        code = command_failed(&e);
        if (damaged)
            fprintf(stderr, "anchord: --skip-damaged restores all the rest\n");
    }
    flaws_clear(&left_out);
    conf_clear(&c);
    return code;
}
