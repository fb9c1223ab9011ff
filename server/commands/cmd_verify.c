/* cmd_verify.c - `anchord verify`: reads all of a data folder and tells what is damaged; `--repair` mends it. */
#include <stdio.h>

#include "api/services/models.h"
#include "base/num.h"
#include "index/verify.h"
#include "server/commands/command.h"

static void tell(void *arg, const struct verify_finding *f)
{
    static const char *const done[] = {
        [VERIFY_TOLD] = "found", [VERIFY_REPAIRED] = "repaired", [VERIFY_LOST] = "NOT repaired"};
    char line[2000];
    (void)arg;
    snprintf(line, sizeof line, "%s: %s: %s%s%s", done[f->outcome], f->what, f->name, f->remark[0] ? " " : "",
             f->remark);
    make_printable(line);
    puts(line);
}

static int verify(const struct conf *c, bool repair)
{
    const struct verify_options o = {.dir = c->data, .repair = repair, .check_model = model_check_file, .tell = tell};
    struct verify_result r;
    struct err e = {0};
    if (!store_verify(&o, &r, &e)) {
        int code = command_failed(&e);
        if (e.code == ERR_BUSY)
            fprintf(
                stderr,
                "anchord: stop the server first; while it runs, POST /v1/backups checks the image files and models\n");
        return code;
    }
    printf("%lld image files, %lld vectors, %lld models, %lld segments: %lld damaged, %lld repaired\n",
           (long long)r.image_files, (long long)r.vectors, (long long)r.models, (long long)r.segments,
           (long long)r.findings, (long long)r.repaired);
    if (r.findings > 0 && !repair)
        puts("`anchord verify --repair` mends what can be made again");
    return r.findings == r.repaired ? EXIT_DONE : EXIT_FAILED;
}

int cmd_verify(int argc, char **argv)
{
    bool repair = false;
    const struct flag flags[] = {{.name = "repair", .on = &repair}};
    struct conf c;
    struct err e = {0};
    int code = command_begin("verify", &c, &argc, argv, flags, COUNT(flags));
    if (code == EXIT_DONE && argc > 0) {
        err_set(&e, ERR_BAD_INPUT, "verify takes no operands");
        code = command_misused("verify", &e);
    } else if (code == EXIT_DONE) {
        code = verify(&c, repair);
    }
    conf_clear(&c);
    return code;
}
