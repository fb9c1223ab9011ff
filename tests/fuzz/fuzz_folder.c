/* fuzz_folder.c - files of a data folder and of a run, damaged in any way.
 *
 * The first byte chooses the file, the rest is its content.  What is read is whole, what is not read is told, and what can be
 * written again is read to the same.
 */
#include "api/jobs/job_events.h"
#include "base/conf.h"
#include "base/file_cache.h"
#include "base/json.h"
#include "engine/data/manifest.h"
#include "engine/learning/train_config.h"
#include "engine/training/report_log.h"
#include "server/process/secrets.h"
#include "server/process/serve_file.h"
#include "tests/fuzz/fuzz_file.h"

#include <sys/stat.h>

static void said_why(const struct err *e)
{
    FUZZ_CHECK(e->text[0] && e->code != ERR_NONE && e->code != ERR_INTERNAL);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void job(const uint8_t *data, size_t size)
{
    struct job first, again;
    struct err e = {0};
    fuzz_file("job.json", data, size);
    if (!job_load(&first, fuzz_folder, &e)) {
        FUZZ_CHECK(e.code == ERR_CORRUPT && strstr(e.text, "job.json"));
        return;
    }
    FUZZ_CHECK(job_save(&first, fuzz_folder, &e) && job_load(&again, fuzz_folder, &e));
    FUZZ_CHECK(strcmp(first.id, again.id) == 0 && first.status == again.status && first.seed == again.seed);
    FUZZ_CHECK(first.objective == again.objective && first.promote == again.promote && first.crashes == again.crashes);
    FUZZ_CHECK(strcmp(first.error, again.error) == 0 && strcmp(first.made_model, again.made_model) == 0);
    FUZZ_CHECK(same_text(first.hyperparameters, again.hyperparameters) && same_text(first.result, again.result));
    job_clear(&first);
    job_clear(&again);
}

static void events(const uint8_t *data, size_t size)
{
    struct job_events list;
    struct buf followed = {0};
    struct err e = {0};
    uint64_t n = 0, offset = 0, before;
    fuzz_file("events.jsonl", data, size);
    FUZZ_CHECK(job_events_read(fuzz_folder, &list, &e));
    size_t bytes = 0;
    for (size_t i = 0; i < list.n; i++) {
        bytes += list.lengths[i] + 1;
        job_event_is_whole(list.lines[i], list.lengths[i]);
    }
    FUZZ_CHECK(bytes == size || bytes == size + 1); /* the last line may have no end */
    do {                                            /* piece by piece: the same bytes, but for what has no end */
        before = offset;
        FUZZ_CHECK(job_events_follow(fuzz_folder, &offset, 7, &followed, &e));
    } while (offset > before);
    FUZZ_CHECK(offset == followed.len && followed.len <= size && memcmp(followed.data, data, followed.len) == 0);
    FUZZ_CHECK(job_events_count(fuzz_folder, &n, &e) && n == list.n);
    buf_clear(&followed);
    job_events_clear(&list);
}

static void addresses(const uint8_t *data, size_t size)
{
    struct serve_addresses first = {0}, again = {0};
    struct err e = {0};
    fuzz_file("serve.json", data, size);
    if (!serve_file_read(fuzz_folder, &first, &e)) {
        said_why(&e);
        return;
    }
    FUZZ_CHECK(serve_file_write(fuzz_folder, &first, &e));
    FUZZ_CHECK(serve_file_read(fuzz_folder, &again, &e) && memcmp(&first, &again, sizeof first) == 0);
}

static void manifest(const uint8_t *data, size_t size)
{
    struct manifest m = {0};
    struct err e = {0};
    if (manifest_read(&m, fuzz_file("manifest.jsonl", data, size), &e)) {
        FUZZ_CHECK(m.n > 0);
        for (size_t i = 0; i < m.n; i++)
            FUZZ_CHECK(
                strlen(m.items[i].sha256) == HASH_HEX - 1 &&
                (m.items[i].label == NO_LABEL || (m.items[i].label >= 0 && (size_t)m.items[i].label < m.n_labels)));
        manifest_split(&m, 0.5, 1);
    } else {
        said_why(&e);
    }
    manifest_clear(&m);
}

static void run_log(const uint8_t *data, size_t size)
{
    struct report_log log;
    struct err e = {0};
    fuzz_file("log.jsonl", data, size);
    if (!report_log_read(&log, fuzz_folder, &e)) {
        FUZZ_CHECK(e.code == ERR_CORRUPT || e.code == ERR_TOO_LARGE);
        return;
    }
    for (size_t i = 1; i < log.n_steps; i++)
        FUZZ_CHECK(log.steps[i - 1].step <= log.steps[i].step);
    for (size_t i = 1; i < log.n_evaluations; i++)
        FUZZ_CHECK(log.evaluations[i - 1].step <= log.evaluations[i].step);
    report_log_clear(&log);
}

static void settings(const uint8_t *data, size_t size)
{
    struct conf c;
    struct secrets s;
    struct err e = {0};
    char path[100];
    conf_init(&c);
    if (!conf_read_json(&c, (const char *)data, size, &e))
        said_why(&e);
    conf_clear(&c);
    conf_init(&c);
    e = (struct err){0};
    snprintf(path, sizeof path, "%s", fuzz_file("secret", data, size));
    FUZZ_CHECK(conf_set(&c, "admin_key_file", path, &e));
    if (!secrets_read(&s, &c, &e))
        said_why(&e);
    else
        FUZZ_CHECK(s.admin_key[0]); /* never empty: that would let everybody in */
    secrets_clear(&s);
    conf_clear(&c);
}

static void run_config(const uint8_t *data, size_t size)
{
    struct train_config c = {0}, again = {0};
    struct err e = {0};
    if (train_config_parse(&c, (const char *)data, size, &e))
        FUZZ_CHECK(train_config_parse(&again, c.text, strlen(c.text), &e) && strcmp(c.text, again.text) == 0);
    else
        said_why(&e);
    train_config_clear(&c);
    train_config_clear(&again);
}

static void cached(const uint8_t *data, size_t size)
{
    static const char name[] = "abcdef-64.jpg";
    char folder[100], inside[100];
    void *bytes;
    size_t len;
    fuzz_open_folder();
    snprintf(folder, sizeof folder, "%s/ab", fuzz_folder);
    mkdir(folder, 0700);
    snprintf(inside, sizeof inside, "ab/%s", name);
    fuzz_file(inside, data, size);
    struct file_cache *c = file_cache_new(fuzz_folder, 1 << 26);
    if (file_cache_get(c, name, &bytes, &len)) {
        FUZZ_CHECK(len == size - HASH_SIZE && memcmp(bytes, data + HASH_SIZE, len) == 0);
        free(bytes);
    }
    file_cache_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        char letter;
        void (*check)(const uint8_t *data, size_t size);
    } files[] = {
        {'j', job},     {'e', events},   {'a', addresses},  {'m', manifest},
        {'l', run_log}, {'s', settings}, {'c', run_config}, {'t', cached},
    };
    json_init();
    for (size_t i = 0; size > 0 && i < sizeof files / sizeof *files; i++)
        if (data[0] == files[i].letter)
            files[i].check(data + 1, size - 1);
    return 0;
}
