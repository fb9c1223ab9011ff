/* report.h - a training run as one page: what it gained, its curves, its settings, and a sheet of answers.
 *
 *     report_write("runs/first", NULL, e);     reads log.jsonl and sheet.png there, writes report.html
 *
 * The page loads nothing and runs nothing.  It can be written at any moment of a run, from a log of any length.
 */
#ifndef ANCHORD_ENGINE_TRAINING_REPORT_H
#define ANCHORD_ENGINE_TRAINING_REPORT_H

#include "base/err.h"

/* `sheet`: the path of a PNG; NULL: "<run>/sheet.png", if it is there.  ERR_NOT_FOUND without a log, ERR_CORRUPT when
 * nothing in it is of a run. */
MUST_CHECK bool report_write(const char *run, const char *sheet, struct err *e);

#endif
