/* test_cli.c - the commands as a user runs them: model, embed, key, restore, health, and their exit codes. */
#include "tests/t.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/json.h"
#include "tests/lib/client.h"
#include "tests/lib/command.h"
#include "tests/lib/process.h"

static void in(char out[400], const char *dir, const char *name)
{
    snprintf(out, 400, "%s/%s", dir, name);
}

static void wrong_use_gives_2_and_refused_settings_78(void **state)
{
    UNUSED(state);
    command_only(2, NULL);
    command_only(2, "nonsense", NULL);
    command_only(2, "model", NULL);
    command_only(2, "model", "new", NULL);
    command_only(2, "model", "new", "--arch", "vgg16", "x", NULL);
    command_only(2, "model", "new", "--width", "9", "x", NULL);
    command_only(2, "model", "new", "--seed", "-1", "x", NULL);
    command_only(2, "embed", NULL);
    command_only(2, "import", NULL);
    command_only(2, "import", "a", "b", NULL);
    command_only(2, "key", "add", NULL);
    command_only(2, "key", "add", "--role", "root", NULL);
    command_only(2, "key", "revoke", NULL);
    command_only(2, "restore", NULL);
    command_only(2, "health", "now", NULL);
    char *out = command(2, "embed", "--colour", "red", "x.jpg", NULL);
    assert_contains(out, "--colour");
    assert_contains(out, "anchord embed --help");
    free(out);
    out = command(78, "embed", "--max-image-side", "none", "x.jpg", NULL);
    assert_contains(out, "max_image_side");
    free(out);
    command_only(0, "help", NULL);
    command_only(0, "model", "--help", NULL);
    static const char *const asks[] = {"--version", "version", "-v", "--help", "-h"};
    for (size_t i = 0; i < COUNT(asks); i++)
        command_only(0, asks[i], NULL);
    command_only(0, "model", "-h", NULL);
}

static char *shell(const char *line, int *status)
{
    static char out[16384];
    FILE *f = popen(line, "r");
    assert_non_null(f);
    out[fread(out, 1, sizeof out - 1, f)] = 0;
    *status = WEXITSTATUS(pclose(f));
    return out;
}

static void on_a_terminal_an_error_has_a_line_of_its_own(void **state)
{
    UNUSED(state);
    static const char config[] =
        "{\"data\":\"%s/pictures\",\"out\":\"%s/run\",\"batch_size\":64,\"per_label\":2,\"steps\":2,"
        "\"arch\":{\"name\":\"resnet18\",\"stem\":\"small2\",\"width\":8,\"size\":32},"
        "\"method\":{\"type\":\"infonce\",\"infonce\":{\"positives\":\"labels\"}}}";
    char *dir = t_make_dir(), text[1000], line[1000], path[400];
    int status;
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "pictures/l%d/p.jpg", i % 2);
        path[12] = (char)('a' + i); /* a name each */
        write_picture(dir, path, (uint64_t)i);
    }
    int len = snprintf(text, sizeof text, config, dir, dir);
    write_file(dir, "config.json", text, (size_t)len);
    snprintf(line, sizeof line, "script -qec '%s train --config %s/config.json' /dev/null", program_path(), dir);
    const char *said = shell(line, &status);
    if (!strstr(said, "anchord: ") || (!strstr(said, "\r\x1b[Kanchord: ") && !strstr(said, "\nanchord: ")))
        fail_msg("%d: %s", status, said);
    t_remove_dir(dir);
}

/* The script calls the program by its name, and so does the container. */
static char *start_container(const char *before, const char *data, int *status)
{
    char line[1200], folder[600];
    snprintf(folder, sizeof folder, "%s", program_path());
    *strrchr(folder, '/') = 0;
    snprintf(line, sizeof line,
             "PATH=%s:$PATH ANCHORD_DATA=%s %s sh configs/container-start.sh serve --listen 127.0.0.1:x 2>&1", folder,
             data, before);
    return shell(line, status);
}

static void a_container_that_cannot_start_says_why(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), data[400];
    int status;
    snprintf(data, sizeof data, "%s/data", dir);
    assert_contains(start_container("ANCHORD_LIGHT_THREADS=abc", data, &status), "light_threads");
    assert_int_equal(status, 78);
    const char *first = start_container("", data, &status); /* listens nowhere: this is not about serving */
    assert_contains(first, "first start");
    assert_contains(first, "anch_");
    assert_int_equal(status, 78);
    assert_null(strstr(start_container("", data, &status), "first start"));
    if (geteuid() == 0) { /* as somebody who may not write there */
        const char *said = start_container("setpriv --reuid 10001 --clear-groups", data, &status);
        assert_contains(said, "must be writable for uid 10001");
        assert_contains(said, "Permission denied");
        assert_int_not_equal(status, 0);
    }
    t_remove_dir(dir);
}

static double size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (double)st.st_size;
}

static void a_model_is_made_looked_at_exported_and_imported_back(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), ours[400], torch[400], back[400], twin[400], half[400];
    in(ours, dir, "ours.safetensors");
    in(torch, dir, "torch.safetensors");
    in(back, dir, "back.safetensors");
    in(twin, dir, "twin.safetensors");
    command_only(0, "model", "new", "--arch", "resnet34", "--stem", "small1", "--width", "8", "--size", "40", "--seed",
                 "3", ours, NULL);
    char *info = command(0, "model", "info", ours, NULL);
    assert_contains(info, "resnet34, stem small1, width 8");
    assert_contains(info, "40 x 40");
    assert_contains(info, "no: random weights");
    assert_contains(info, "embedded here");
    command_only(0, "model", "new", "--like", ours, "--seed", "3", twin, NULL);
    char *same = command(0, "model", "info", twin, NULL);
    const char *print = strstr(info, "fingerprint");
    assert_memory_equal(print, strstr(same, "fingerprint"), 14 + 64); /* the same shape and seed: the same model */

    /* half the size, other weights by a rounding, and once is enough */
    in(half, dir, "half.safetensors");
    command_only(0, "model", "compact", ours, half, NULL);
    char *compact = command(0, "model", "info", half, NULL);
    assert_contains(compact, "stored in     bf16");
    assert_contains(compact, "embedded here");
    assert_memory_not_equal(print, strstr(compact, "fingerprint"), 14 + 64);
    assert_true(size_of(half) < 0.55 * size_of(ours));
    command_only(0, "model", "compact", "--force", half, twin, NULL);
    char *twice = command(0, "model", "info", twin, NULL);
    assert_memory_equal(strstr(compact, "fingerprint"), strstr(twice, "fingerprint"), 14 + 64);
    free(compact);
    free(twice);

    command_only(0, "model", "export", ours, torch, NULL);
    char *foreign = command(0, "model", "info", torch, NULL);
    assert_contains(foreign, "anchord model import");
    command_only(1, "model", "import", ours, back, NULL); /* is ours already */
    command_only(0, "model", "import", "--size", "40", torch, back, NULL);
    char *again = command(0, "model", "info", back, NULL);
    assert_memory_equal(print, strstr(again, "fingerprint"), 14 + 64);
    assert_contains(again, "embedded here");
    free(info);
    free(same);
    free(foreign);
    free(again);
    t_remove_dir(dir);
}

static void a_file_that_is_there_is_kept_unless_forced(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[400];
    in(path, dir, "m");
    write_file(dir, "m", "precious", 8);
    char *out = command(1, "model", "new", "--stem", "small1", "--width", "8", path, NULL);
    assert_contains(out, "--force");
    free(out);
    out = command(1, "model", "info", path, NULL);
    assert_contains(out, "not a safetensors file"); /* still the eight bytes */
    free(out);
    command_only(0, "model", "new", "--stem", "small1", "--width", "8", "--force", path, NULL);
    command_only(0, "model", "info", path, NULL);
    t_remove_dir(dir);
}

/* The i-th line that is a JSON object; the caller frees. */
static struct json *json_line(const char *out, size_t i)
{
    struct err e = {0};
    for (const char *line = out; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (line[0] == '{' && i-- == 0) {
            struct json *doc = json_parse(line, strcspn(line, "\n"), 0, &e);
            assert_ok(doc, e);
            return doc;
        }
    fail_msg("no such line in %s", out);
    return NULL;
}

static void embed_prints_vectors_in_order_and_goes_on_after_damage(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), paths[6][400];
    static const char *const names[] = {"a.jpg", "b.jpg", "bad.jpg", "missing.jpg", "c.jpg", "a2.jpg"};
    write_large_picture(dir, "a.jpg", 1); /* the others are ready long before it */
    write_picture(dir, "b.jpg", 2);
    write_file(dir, "bad.jpg", "\xff\xd8\xff\xe0 not a picture", 18);
    write_picture(dir, "c.jpg", 3);
    write_large_picture(dir, "a2.jpg", 1);
    for (size_t i = 0; i < COUNT(names); i++)
        in(paths[i], dir, names[i]);
    char *out = command(1, "embed", "--model", small_model(), "--precision", "fp32", paths[0], paths[1], paths[2],
                        paths[3], paths[4], paths[5], NULL);
    struct json *lines[6];
    for (size_t i = 0; i < COUNT(lines); i++) {
        lines[i] = json_line(out, i);
        assert_string_equal(json_as_text(json_member(lines[i], "file"), NULL), paths[i]);
        bool bad = i == 2 || i == 3;
        assert_int_equal(json_count(json_member(lines[i], "embedding")), bad ? 0 : 64);
        assert_int_equal(json_member(lines[i], "error") != NULL, bad);
    }
    double norm = 0, same = 0;
    for (size_t k = 0; k < 64; k++) {
        double a = 0, a2 = 0;
        assert_true(json_as_number(json_item(json_member(lines[0], "embedding"), k), &a));
        assert_true(json_as_number(json_item(json_member(lines[5], "embedding"), k), &a2));
        norm += a * a;
        same += fabs(a - a2);
    }
    assert_true(fabs(norm - 1) < 1e-5 && same == 0);
    assert_string_equal(json_as_text(json_member(lines[0], "model"), NULL), "small");
    for (size_t i = 0; i < COUNT(lines); i++)
        json_free(lines[i]);
    free(out);
    out = command(1, "embed", "--data", dir, paths[0], NULL);
    assert_contains(out, "anchord model new");
    free(out);
    t_remove_dir(dir);
}

static int status_with(const struct server *s, const char *key)
{
    struct client c = client_to(s->port);
    struct reply r = {0};
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/v1/models", .key = key}, &r));
    int status = r.status;
    reply_clear(&r);
    client_close(&c);
    return status;
}

/* The key among what `key add` printed; into out. */
static void find_key(const char *printed, char out[80])
{
    const char *at = strstr(printed, "anch_");
    assert_non_null(at);
    snprintf(out, 80, "%.*s", (int)strcspn(at, " \r\n"), at);
}

static void keys_are_made_and_revoked_without_a_server(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), key[80], id[9], reader[80], reader_id[9];
    struct server s;
    struct err e = {0};
    char *out = command(1, "key", "add", "--role", "read", "--data", dir, NULL);
    assert_contains(out, "role admin"); /* the first one must be able to manage the others */
    free(out);
    out = command(0, "key", "add", "--role", "admin", "--name", "first one", "--data", dir, NULL);
    find_key(out, key);
    snprintf(id, sizeof id, "%.8s", key + 5);
    free(out);
    out = command(0, "key", "add", "--role", "read", "--data", dir, NULL);
    find_key(out, reader);
    free(out);
    snprintf(reader_id, sizeof reader_id, "%.8s", reader + 5);
    out = command(0, "key", "list", "--data", dir, NULL);
    assert_contains(out, id);
    assert_contains(out, "admin");
    assert_contains(out, "read");
    assert_contains(out, "first one");
    assert_null(strstr(out, key)); /* only its hash is kept */
    free(out);

    assert_ok(server_start(&s, &(struct server_options){.dir = dir}, &e), e);
    assert_int_equal(status_with(&s, key), 200);
    assert_int_equal(status_with(&s, reader), 200);
    assert_int_equal(status_with(&s, NULL), 401);
    out = command(75, "key", "list", "--data", dir, NULL); /* the server has the folder */
    assert_contains(out, "/v1/keys");
    free(out);
    assert_int_equal(server_stop(&s), 0);

    command_only(1, "key", "revoke", id, "--data", dir, NULL); /* nobody could manage the reader's */
    command_only(0, "key", "revoke", reader_id, "--data", dir, NULL);
    command_only(0, "key", "revoke", id, "--data", dir, NULL);
    command_only(1, "key", "revoke", id, "--data", dir, NULL);
    out = command(0, "key", "list", "--data", dir, NULL);
    assert_null(strstr(out, id));
    free(out);
    server_remove(&s);
    t_remove_dir(dir);
}

static void health_tells_whether_the_server_of_the_folder_is_ready(void **state)
{
    UNUSED(state);
    struct server s;
    struct err e = {0};
    char dir[256], url[64];
    assert_ok(server_start(&s, &(struct server_options){0}, &e), e);
    snprintf(dir, sizeof dir, "%s", s.dir);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", s.port);
    command_only(0, "health", "--data", dir, NULL);
    command_only(0, "health", "--url", url, NULL);
    assert_int_equal(server_stop(&s), 0);
    command_only(1, "health", "--data", dir, NULL);
    command_only(1, "health", "--url", url, NULL);
    server_remove(&s);
}

/* Answers one connection, in a child process, with this status. */
static pid_t answer_once(const char *status, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    pid_t pid = fork();
    if (pid == 0) {
        char got[1024], answer[128];
        int c = accept(fd, NULL, NULL);
        ssize_t n = recv(c, got, sizeof got, 0);
        snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
        n += send(c, answer, strlen(answer), MSG_NOSIGNAL);
        _exit(n < 0);
    }
    close(fd);
    return pid;
}

static void health_believes_only_a_200(void **state)
{
    UNUSED(state);
    static const struct {
        const char *status;
        int code;
    } cases[] = {{"200 OK", 0}, {"503 Service Unavailable", 75}, {"404 Not Found", 75}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint16_t port;
        char url[64];
        int raw;
        pid_t pid = answer_once(cases[i].status, &port);
        snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
        command_only(cases[i].code, "health", "--url", url, NULL);
        assert_int_equal(waitpid(pid, &raw, 0), pid);
    }
}

static void a_backup_is_restored_into_a_new_folder_and_nowhere_else(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), pictures[400], data[400], fresh[400], backup[800];
    struct server s;
    struct client c;
    struct reply r = {0};
    struct err e = {0};
    in(pictures, dir, "pictures");
    in(data, dir, "data");
    in(fresh, dir, "fresh");
    write_picture(pictures, "cat/1.jpg", 1);
    write_picture(pictures, "dog/2.jpg", 2);
    command_only(0, "import", "--data", data, "--model", small_model(), pictures, NULL);
    assert_ok(server_start(&s, &(struct server_options){.dir = data}, &e), e);
    c = client_to(s.admin);
    assert_true(client_ask(
        &c,
        &(struct ask){.method = "POST", .target = "/v1/backups", .type = "application/json", .body = "{}", .len = 2},
        &r));
    assert_int_equal(r.status, 201);
    struct json *made = json_parse(r.body.data, r.body.len, 0, &e);
    assert_ok(made, e);
    snprintf(backup, sizeof backup, "%s/backups/%s", data, json_as_text(json_member(made, "name"), NULL));
    json_free(made);
    client_close(&c);
    assert_int_equal(server_stop(&s), 0);
    server_remove(&s);

    command_only(0, "restore", backup, "--data", fresh, NULL);
    command_only(1, "restore", backup, "--data", fresh, NULL); /* it is not empty any more */
    char *out = command(0, "import", "--json", "--data", fresh, "--model", small_model(), pictures, NULL);
    assert_contains(out, "\"unchanged\":2");
    free(out);
    reply_clear(&r);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_use_gives_2_and_refused_settings_78),
        cmocka_unit_test(on_a_terminal_an_error_has_a_line_of_its_own),
        cmocka_unit_test(a_container_that_cannot_start_says_why),
        cmocka_unit_test(a_model_is_made_looked_at_exported_and_imported_back),
        cmocka_unit_test(a_file_that_is_there_is_kept_unless_forced),
        cmocka_unit_test(embed_prints_vectors_in_order_and_goes_on_after_damage),
        cmocka_unit_test(keys_are_made_and_revoked_without_a_server),
        cmocka_unit_test(health_tells_whether_the_server_of_the_folder_is_ready),
        cmocka_unit_test(health_believes_only_a_200),
        cmocka_unit_test(a_backup_is_restored_into_a_new_folder_and_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
