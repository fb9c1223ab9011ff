/* test_train.c - `anchord train` as a user runs it: started, stopped, gone on with, and with all that can be wrong. */
#include "tests/t.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "tests/lib/command.h"
#include "tests/lib/process.h"

enum { KINDS = 3, EACH = 12 };

static char *dir; /* pictures/, configurations and runs */

static void in(char out[400], const char *name)
{
    snprintf(out, 400, "%s/%s", dir, name);
}

static int make_pictures(void **state)
{
    UNUSED(state);
    dir = t_make_dir();
    char pictures[400];
    in(pictures, "pictures");
    command_only(0, "demo-pictures", "--each", "8", "--side", "48", pictures, NULL);
    return 0;
}

static int remove_pictures(void **state)
{
    UNUSED(state);
    t_remove_dir(dir);
    return 0;
}

/* Writes DIR/NAME.json for a run in DIR/NAME; gives its path. */
static const char *config(char out[400], const char *name, const char *data, const char *more)
{
    char text[1200], file[100];
    int n =
        snprintf(text, sizeof text,
                 "{\n  \"data\": \"%s/%s\",\n  \"out\": \"%s/%s\",\n  %s,\n"
                 "  \"augmentation\": \"cifar\", \"threads\": 1%s\n}\n",
                 dir, data, dir, name,
                 strstr(more, "\"model\"") ? "\"seed\": 1" : "\"arch\": {\"stem\": \"small2\", \"width\": 8}", more);
    snprintf(file, sizeof file, "%s.json", name);
    write_file(dir, file, text, (size_t)n);
    in(out, file);
    return out;
}

static bool is_there(const char *name)
{
    char path[400];
    struct stat s;
    in(path, name);
    return stat(path, &s) == 0;
}

static void a_folder_of_pictures_gives_a_model_that_embeds(void **state)
{
    UNUSED(state);
    char file[400], model[400], photo[400];
    char *out =
        command(0, "train", "--config", config(file, "first", "pictures", ",\"epochs\":2,\"batch_size\":32"), NULL);
    assert_contains(out, "{\"event\":\"start\",\"step\":0,");
    assert_contains(out, "\"event\":\"evaluation\",\"step\":0,");
    assert_contains(out, "\"event\":\"end\"");
    assert_contains(out, "recall@1 ");
    free(out);
    assert_true(is_there("first/first.safetensors") && is_there("first/last.safetensors"));
    assert_true(is_there("first/report.html") && is_there("first/sheet.png"));
    in(model, "first/best.safetensors");
    in(photo, "pictures/flower/1.jpg");
    out = command(0, "embed", "--model", model, photo, NULL);
    assert_contains(out, "[");
    free(out);
    in(model, "first/last.safetensors");
    out = command(0, "model", "info", model, NULL);
    assert_contains(out, "\"objective\":\"infonce\"");
    free(out);
    out = command(1, "train", "--config", file, NULL);
    assert_contains(out, "--resume");
    free(out);
}

static void a_preview_is_drawn_without_a_run(void **state)
{
    UNUSED(state);
    char file[400], sheet[400];
    in(sheet, "sheet.png");
    command_only(0, "train", "--config", config(file, "preview", "pictures", ",\"epochs\":1,\"batch_size\":16"),
                 "--preview", sheet, NULL);
    assert_true(is_there("sheet.png") && !is_there("preview"));
}

static void a_stored_collection_is_trained_on_and_free_again_at_once(void **state)
{
    UNUSED(state);
    char file[400], data[400], text[1500], pictures[400];
    in(data, "data");
    in(pictures, "pictures");
    command_only(0, "import", "--data", data, "--model", small_model(), "--precision", "fp32", pictures, NULL);
    int n = snprintf(text, sizeof text,
                     "{\"collection\":\"default\",\"store\":\"%s\",\"out\":\"%s/stored\",\"steps\":2,"
                     "\"arch\":{\"stem\":\"small2\",\"width\":8},\"batch_size\":16,\"threads\":1}",
                     data, dir);
    write_file(dir, "stored.json", text, (size_t)n);
    in(file, "stored.json");
    char *out = command(0, "train", "--config", file, NULL);
    assert_contains(out, "\"labels\":16");
    free(out);
    assert_true(is_there("stored/manifest.jsonl") && is_there("stored/pictures/00"));
    command_only(0, "train", "--config", file, "--resume", NULL); /* from the list, whatever is stored by now */

    n = snprintf(text, sizeof text,
                 "{\"collection\":\"default\",\"store\":\"%s/none\",\"out\":\"%s/none2\",\"steps\":2}", dir, dir);
    write_file(dir, "none.json", text, (size_t)n);
    in(file, "none.json");
    out = command(1, "train", "--config", file, NULL);
    assert_contains(out, "is no data folder");
    free(out);
    assert_true(!is_there("none"));
}

/* The program beside the test, its output in a file. */
static pid_t start(const char *file)
{
    char log[400];
    in(log, "train.log");
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen(log, "w", stdout))
            _exit(99);
        execl(program_path(), "anchord", "train", "--config", file, (char *)NULL);
        _exit(99);
    }
    return pid;
}

static void sigterm_saves_a_checkpoint_that_is_gone_on_from(void **state)
{
    UNUSED(state);
    char file[400];
    int status = 0;
    pid_t pid = start(config(file, "stopped", "pictures", ",\"steps\":40,\"batch_size\":64,\"evaluate_every\":1000"));
    assert_true(pid > 0);
    assert_true(t_wait(30, is_there("stopped/first.safetensors")));
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 75);
    assert_true(is_there("stopped/checkpoint.safetensors"));
    char *out = command(0, "train", "--config", file, "--resume", NULL);
    assert_contains(out, "\"event\":\"resume\"");
    assert_contains(out, "\"step\":40,\"reason\":\"done\"");
    free(out);
}

static void what_is_wrong_is_told_by_name(void **state)
{
    UNUSED(state);
    char file[400];
    static const struct {
        int code;
        const char *data, *more, *word;
    } cases[] = {
        {78, "pictures", ",\"epochs\":1,\"colour\":1", "there is no setting \"colour\""},
        {78, "pictures", ",\"epochs\":1,\"optimizer\":{\"learning_rate\":-1}", "optimizer.learning_rate"},
        {78, "pictures", ",\"epochs\":1,\"batch_size\":4096", "batch_size: is 4096, but there are"},
        {78, "pictures", ",\"epochs\":1", "batch_size: is 256"},
        {1, "nowhere", ",\"epochs\":1", "nowhere"},
        {1, "pictures", ",\"epochs\":1,\"batch_size\":8,\"model\":\"/nowhere.safetensors\"", "nowhere.safetensors"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *out =
            command(cases[i].code, "train", "--config", config(file, "wrong", cases[i].data, cases[i].more), NULL);
        assert_contains(out, cases[i].word);
        free(out);
    }
    write_file(dir, "torn.json", "{\"data\":", 8);
    in(file, "torn.json");
    command_only(78, "train", "--config", file, NULL);
    command_only(2, "train", NULL);
    command_only(2, "train", "--config", file, "more", NULL);
    command_only(1, "train", "--config", "/nowhere.json", NULL);
}

static void a_silly_learning_rate_is_said_to_be_one(void **state)
{
    UNUSED(state);
    char file[400];
    char *out = command(1, "train", "--config",
                        config(file, "silly", "pictures",
                               ",\"steps\":80,\"batch_size\":16,\"evaluate_every\":1000,"
                               "\"optimizer\":{\"learning_rate\":100,\"momentum\":0.999,\"weight_decay\":1}"),
                        NULL);
    assert_contains(out, "lower the learning rate");
    free(out);
    assert_true(is_there("silly/best.safetensors"));
}

static void damaged_files_are_named_and_counted(void **state)
{
    UNUSED(state);
    char file[400];
    write_file(dir, "pictures/flower/broken.jpg", "\xff\xd8\xff\xe0 no picture", 15);
    char *out =
        command(0, "train", "--config", config(file, "broken", "pictures", ",\"steps\":1,\"batch_size\":16"), NULL);
    assert_contains(out, "\"damaged\":1");
    assert_contains(out, "broken.jpg");
    free(out);
    in(file, "pictures/flower/broken.jpg");
    unlink(file);
}

/* The same command with the disk full for files whose name has `part` in it. */
static char *run_on_a_full_disk(const char *file, const char *part, const char *run, int *code)
{
    char preload[400], watched[450], fail[450], sentinel[400], text[100], *out;
    in(sentinel, "fail");
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/tests/faults/preload.so", getenv("B"));
    snprintf(watched, sizeof watched, "FAULTS_DIR=%s/%s", dir, run);
    snprintf(fail, sizeof fail, "FAULTS_FAIL=%s", sentinel);
    write_file(dir, "fail", text, (size_t)snprintf(text, sizeof text, "rename %d %s 0\n", ENOSPC, part));
    const char *env[] = {preload, watched, fail, "ASAN_OPTIONS=verify_asan_link_order=0", NULL};
    const char *args[] = {"train", "--config", file, "--resume", NULL};
    *code = program_run(args, env, &out);
    unlink(sentinel);
    return out;
}

static void a_full_disk_leaves_the_last_good_checkpoint(void **state)
{
    UNUSED(state);
    char file[400], path[400];
    int code;
    config(file, "full", "pictures", ",\"steps\":30,\"batch_size\":32,\"checkpoint_every\":10,\"evaluate_every\":1000");
    pid_t pid = start(file);
    assert_true(t_wait(12, is_there("full/checkpoint.safetensors")));
    kill(pid, SIGTERM);
    waitpid(pid, &code, 0);
    in(path, "full/checkpoint.safetensors");
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);

    char *out = run_on_a_full_disk(file, "checkpoint", "full", &code);
    assert_int_equal(code, 1);
    assert_contains(out, "the one before it is whole");
    assert_contains(out, "No space left on device");
    free(out);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size);
    out = command(0, "train", "--config", file, "--resume", NULL);
    assert_contains(out, "\"step\":30,\"reason\":\"done\"");
    free(out);
}

/* {"stages": [...]}: each goes on with the model of the one before. */
static void a_run_has_stages(void **state)
{
    UNUSED(state);
    char file[400], model[400];
    config(file, "staged", "pictures",
           ",\"batch_size\":32,\"steps\":2,\"stages\":[{},{\"size\":48,\"steps\":1},{\"steps\":3}]");
    command_only(0, "train", "--config", file, NULL);
    assert_true(is_there("staged/1/last.safetensors") && is_there("staged/2/last.safetensors") &&
                is_there("staged/3/last.safetensors"));
    in(model, "staged/3/last.safetensors");
    char *out = command(0, "model", "info", model, NULL);
    assert_contains(out, "48"); /* the third keeps the side of the second */
    free(out);
    in(model, "staged/3");
    file_remove_tree(model);
    in(model, "staged/1/checkpoint.safetensors");
    assert_int_equal(unlink(model), 0);
    out = command(0, "train", "--config", file, "--resume",
                  NULL); /* those that have their last model are not run again */
    assert_int_equal(t_times(out, "\"event\":\"start\""), 1);
    free(out);

    /* What one stage held out of another choice is what the one before learned from, but for a few. */
    config(file, "seeds", "pictures", ",\"batch_size\":16,\"steps\":1,\"held_out\":0.4,\"stages\":[{},{\"seed\":7}]");
    out = command(0, "train", "--config", file, "--json", NULL);
    const char *second = strstr(out, "\"event\":\"end\""), *warned = strstr(out, "\"shared_pictures\"");
    if (!second || !warned || warned < second || !strstr(warned, "or were in an earlier stage"))
        fail_msg("%s", out);
    free(out);
    config(file, "again", "pictures", ",\"batch_size\":16,\"steps\":1,\"stages\":[{},{\"size\":48}]");
    out = command(0, "train", "--config", file, "--json", NULL);
    assert_null(strstr(out, "shared_pictures")); /* the same choice in both */
    free(out);

    static const struct {
        const char *stages, *told;
    } wrong[] = {{"[]", "stages"},
                 {"{}", "stages"},
                 {"[1]", "stages[0]"},
                 {"[{\"out\":\"x\"}]", "stages[0].out"},
                 {"[{},{\"arch\":{}}]", "stages[1].arch"},
                 {"[{},{\"model\":\"m\"}]", "stages[1].model"},
                 {"[{},{\"colour\":1}]", "stage 2: "},
                 {"[{\"size\":64}]", "size"}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char more[300];
        snprintf(more, sizeof more, ",\"batch_size\":32,\"steps\":2,\"stages\":%s", wrong[i].stages);
        out = command(78, "train", "--config", config(file, "wrong", "pictures", more), NULL);
        assert_contains(out, wrong[i].told);
        free(out);
        assert_false(is_there("wrong/1"));
    }
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_of_pictures_gives_a_model_that_embeds),
        cmocka_unit_test(a_run_has_stages),
        cmocka_unit_test(a_preview_is_drawn_without_a_run),
        cmocka_unit_test(a_stored_collection_is_trained_on_and_free_again_at_once),
        cmocka_unit_test(sigterm_saves_a_checkpoint_that_is_gone_on_from),
        cmocka_unit_test(what_is_wrong_is_told_by_name),
        cmocka_unit_test(a_silly_learning_rate_is_said_to_be_one),
        cmocka_unit_test(damaged_files_are_named_and_counted),
        cmocka_unit_test(a_full_disk_leaves_the_last_good_checkpoint),
    };
    return cmocka_run_group_tests(tests, make_pictures, remove_pictures);
}
