/* cmd_restore.c - `anchord restore BACKUP`: a backup into an empty or new data folder. */
#include <stdio.h>

#include "index/store.h"
#include "server/commands/command.h"

int cmd_restore(int argc, char **argv)
{
    struct conf c;
    struct err e = {0};
    int code = command_begin("restore", &c, &argc, argv, NULL, 0);
    if (code == EXIT_DONE && argc != 1) {
        err_set(&e, ERR_BAD_INPUT, "restore takes one backup folder");
        code = command_misused("restore", &e);
    } else if (code == EXIT_DONE && store_restore(argv[0], c.data, &e)) {
        printf("restored %s into %s: `anchord serve --data %s` serves it\n", argv[0], c.data, c.data);
    } else if (code == EXIT_DONE) {
        code = command_failed(&e);
    }
    conf_clear(&c);
    return code;
}
