/* main.c - the command line: finds the command and runs it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/num.h"
#include "base/version.h"
#include "server/commands/command.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* what follows the name; gives the exit code */
    bool writes_data;                  /* into a data folder, which is its owner's alone */
    bool one_thread;                   /* the libraries compute on the thread that calls them, for we have our own */
    const char *usage, *help;
} commands[] = {
    {"serve", cmd_serve, true, true, "", "serve the HTTP API until SIGTERM"},
    {"import", cmd_import, true, true,
     "[--collection C] [--url URL] [--key-file FILE] [--ca-file FILE] [--json] [--quiet] DIR",
     "add a folder of pictures; its first sub-folder is the label"},
    {"embed", cmd_embed, false, true, "[--model FILE] IMAGE...",
     "pictures to vectors without a server, one JSON line for each"},
    {"eval", cmd_eval, false, true,
     "--model FILE --data DIR [--train DIR [--temperature X] [--no-probe]] [--invariance]\n"
     "       DIR: a folder of folders, whose names are the labels; --train: the bank for kNN and the linear probe;\n"
     "       --temperature: of kNN's votes, 0.07; --no-probe: without the linear probe, which takes longest;\n"
     "       --invariance: how often a picture is found by its own crop, flip, brightness, rotation and JPEG\n"
     "       anchord eval --protocol transfer --model FILE [--temperature X] [--json] DIR...\n"
     "       many-shot, few-shot and kNN accuracy on each folder, and their means; a folder holds train/ and test/, or "
     "labels, of\n"
     "       which a fifth is held out",
     "judge a model on labelled pictures"},
    {"train", cmd_train, false, true,
     "--config FILE [--resume [--allow-inexact]] [--json]\n"
     "       anchord train --config FILE --preview SHEET.png\n"
     "       FILE: a run as JSON, see docs/training.md; --preview only draws what the network would see",
     "teach an encoder on a folder of pictures"},
    {"worker", cmd_worker, true, true, "[--memory BYTES] FOLDER",
     "one fine-tuning job, as the server starts it: told on standard input, telling on standard output"},
    {"model", cmd_model, false, true,
     "new [--arch resnet18|resnet34|resnet50] [--stem imagenet|small1|small2] [--width N]\n"
     "                         [--projection N] [--size N] [--fit crop|pad|squash] [--seed N] [--force] FILE\n"
     "       anchord model new --like FILE [--fit crop|pad|squash] [--seed N] [--force] FILE\n"
     "       anchord model info FILE\n"
     "       anchord model import [--stem small2] [--size N] [--fit crop|pad|squash] [--force] TORCHVISION.safetensors "
     "FILE\n"
     "       anchord model export [--force] FILE TORCHVISION.safetensors\n"
     "       anchord model compact [--force] FILE HALF-THE-SIZE.safetensors",
     "make, look at and convert model files"},
    {"key", cmd_key, true, true,
     "add --role read|write|admin [--name NAME] [--first] | list | revoke ID\n"
     "       --first: only when there is no key yet",
     "API keys of a data folder"},
    {"health", cmd_health, false, false, "[--url URL] [--ca-file FILE]",
     "ask the server of the data folder whether it is ready"},
    {"restore", cmd_restore, true, true, "[--skip-damaged] BACKUP", "a backup into an empty data folder"},
    {"verify", cmd_verify, true, true,
     "[--repair]\n"
     "       exit code 0: all is whole, or was repaired; 1: something is damaged",
     "read all of a data folder and tell what is damaged"},
    {"demo-pictures", cmd_demo_pictures, false, true, "[--each N] [--from N] [--side PIXELS] DIR",
     "draw a catalogue of pictures to try things with"},
    {"sheet", cmd_sheet, false, true,
     "[--side PIXELS] OUT.png < ROWS\n"
     "       each row: file names, separated by tabs; a mark in front picks the frame: = blue, + green, - red",
     "a contact sheet of rows of pictures"},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int print_help(FILE *out)
{
    fputs("usage: anchord COMMAND [SETTINGS] [ARGUMENTS]\n\n", out);
    for (size_t i = 0; i < COUNT(commands); i++)
        fprintf(out, "  %-13s %s\n", commands[i].name, commands[i].help);
    fputs(
        "  help          this list; `anchord help COMMAND` tells its arguments, `anchord help settings` the settings\n"
        "  --version     the version\n",
        out);
    return out == stdout ? EXIT_DONE : EXIT_WRONG_USE;
}

static int print_settings(void)
{
    struct buf b = {0};
    buf_text(&b, "Each is a flag, a key of the JSON file that --config names, and an environment variable:\n"
                 "--light-threads, light_threads, ANCHORD_LIGHT_THREADS.  Flags beat environment beats file.\n\n");
    conf_write_help(&b);
    fputs(b.data, stdout);
    buf_clear(&b);
    return EXIT_DONE;
}

static int print_usage(const struct command *c)
{
    printf("usage: anchord %s [SETTINGS]%s%s\n\n%s\n\n`anchord help settings` lists the settings.\n", c->name,
           *c->usage ? " " : "", c->usage, c->help);
    return EXIT_DONE;
}

static int help(const char *topic)
{
    const struct command *c = find(topic);
    return !strcmp(topic, "settings") ? print_settings() : c ? print_usage(c) : print_help(*topic ? stderr : stdout);
}

/* libgomp and OpenBLAS read the environment before main() begins, so it is set and the program started anew. */
static void restart_with_one_thread(char **argv)
{
    static const char *const wanted[][2] = {
        {"OMP_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "1"}, {"OMP_WAIT_POLICY", "PASSIVE"}};
    char self[4096];
    bool right = true;
    for (size_t i = 0; i < COUNT(wanted); i++) {
        const char *now = getenv(wanted[i][0]);
        right = right && now && !strcmp(now, wanted[i][1]);
        setenv(wanted[i][0], wanted[i][1], 1);
    }
    ssize_t n = right ? -1 : readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return;
    self[n] = 0;
    execv(self, argv);
    fputs("anchord: cannot start itself anew; computing may be slower\n", stderr);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "--version") || !strcmp(name, "-v") || !strcmp(name, "version")) {
        puts("anchord " ANCHORD_VERSION);
        return EXIT_DONE;
    }
    if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h"))
        return help(argc > 2 ? argv[2] : "");
    const struct command *c = find(name);
    if (!c) {
        if (*name)
            fprintf(stderr, "anchord: no such command: %s\n", make_printable(argv[1]));
        return print_help(stderr);
    }
    if (asks_for_help(argc, argv))
        return print_usage(c);
    if (c->one_thread)
        restart_with_one_thread(argv);
    if (c->writes_data)
        umask(077);
    signal(SIGPIPE, SIG_IGN);
    json_init();
    return c->run(argc - 2, argv + 2);
}
