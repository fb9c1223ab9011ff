/* models.c - what is kept of a model, and what it must prove before. */
#include "api/services/models.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/services/app.h"
#include "base/mem.h"

bool model_check_file(const char *path, const char *fingerprint, struct err *e)
{
    struct err why = {0};
    bool foreign;
    struct model *m = model_load(path, &foreign, &why);
    bool same = m && strcmp(m->fingerprint, fingerprint) == 0;
    model_free(m);
    if (!m && (why.code == ERR_BUSY || why.code == ERR_IO))
        return err_move(e, &why);
    return same || err_set(e, ERR_CORRUPT, "%s", m ? "the file is not the one that was stored" : why.text);
}

/* What the catalogue keeps of a model; `bytes` is the size of its file.  row->lineage is the row's own. */
static void model_describe(const struct model *m, const char *id, int64_t bytes, struct model_row *row)
{
    *row = (struct model_row){
        .dimensions = arch_dimensions(&m->arch),
        .size = m->pre.size,
        .trained = m->trained,
        .created_at = m->created_at,
        .bytes = bytes,
        .lineage = mem_text(m->lineage),
    };
    snprintf(row->id, sizeof row->id, "%s", id);
    snprintf(row->fingerprint, sizeof row->fingerprint, "%s", m->fingerprint);
    snprintf(row->parent, sizeof row->parent, "%s", m->parent);
    snprintf(row->arch, sizeof row->arch, "%s", arch_text(&m->arch, ARCH_TEXT_LABEL).text);
}

bool model_is_small(const struct model_row *row)
{
    return arch_label_is_small(row->arch);
}

void collection_describe(const struct encoder *enc, const char *name, const char *model, struct collection_row *row)
{
    *row = (struct collection_row){.index = INDEX_AUTO, .dimensions = encoder_dimensions(enc)};
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->model, sizeof row->model, "%s", model);
    snprintf(row->fingerprint, sizeof row->fingerprint, "%s", encoder_fingerprint(enc));
    snprintf(row->precision, sizeof row->precision, "%s", precision_name(encoder_precision(enc)));
}

/* Trouble of ours stays what it is; whatever else is wrong is the model's fault, and nothing stored is damaged. */
static bool blame_model(const struct err *why, struct err *e)
{
    switch (why->code) {
    case ERR_BUSY:
    case ERR_FULL:
    case ERR_IO:
    case ERR_INTERNAL: return err_move(e, why);
    default: return err_set(e, ERR_BAD_INPUT, "the model fails its check: %s", why->text);
    }
}

bool model_prove(struct model *m, const struct encoder_options *o, struct err *e)
{
    double worst;
    struct err why = {0};
    if (m->n_goldens == 0 && !encoder_make_goldens(m, &why))
        return blame_model(&why, e);
    struct encoder *enc = encoder_new(m, o, &why);
    bool ok = enc && encoder_check(enc, m, &worst, &why);
    encoder_release(enc);
    return ok || blame_model(&why, e);
}

/* Its file, complete and durable, and what WRITE_MODEL_ADD needs. */
static bool write_draft(struct store *s, const struct model *m, const char *id, char file[PATH_MAX], struct write *w,
                        struct err *e)
{
    struct stat st;
    store_model_draft(s, file, PATH_MAX);
    if (!model_save(m, file, e))
        return false;
    if (stat(file, &st) != 0) {
        err_sys(e, "looking at %s", file);
        unlink(file);
        return false;
    }
    w->kind = WRITE_MODEL_ADD;
    w->model.file = file;
    model_describe(m, id, st.st_size, &w->model.row);
    return true;
}

bool model_draft(struct store *s, struct model *m, const char *id, const struct model_terms *terms, char file[PATH_MAX],
                 struct write *w, struct err *e)
{
    w->needed = terms->needed;
    return (terms->needed || store_has_room(s, terms->bytes, e)) && model_prove(m, terms->encoder, e) &&
           write_draft(s, m, id, file, w, e);
}

bool model_keep(struct store *s, struct model *m, const char *id, const struct model_terms *terms, struct err *e)
{
    char file[PATH_MAX];
    struct write w = {0};
    if (!model_draft(s, m, id, terms, file, &w, e))
        return false;
    bool ok = store_write(s, &w, e);
    unlink(file);
    model_row_clear(&w.model.row);
    write_clear(&w);
    return ok;
}

bool model_delete_draft(const struct app *app, const char *id, struct write *w, struct err *e)
{
    if (strcmp(id, app->default_model) == 0)
        return err_set(e, ERR_CONFLICT, "this is the default model");
    w->kind = WRITE_MODEL_DELETE;
    w->model.id = id;
    return true;
}

const char *precision_name(enum precision p)
{
    return p == PRECISION_FP32 ? "fp32" : p == PRECISION_BF16 ? "bf16" : "auto";
}

enum precision precision_parse(const char *s)
{
    return strcmp(s, "fp32") == 0 ? PRECISION_FP32 : strcmp(s, "bf16") == 0 ? PRECISION_BF16 : PRECISION_AUTO;
}
