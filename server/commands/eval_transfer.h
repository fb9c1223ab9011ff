/* eval_transfer.h - `anchord eval --protocol transfer`: the protocol of transfer.h over several folders, as a table. */
#ifndef ANCHORD_SERVER_COMMANDS_EVAL_TRANSFER_H
#define ANCHORD_SERVER_COMMANDS_EVAL_TRANSFER_H

#include <stddef.h>

#include "base/conf.h"
#include "base/err.h"

/* Judges conf->model on each folder and prints a row for each as it is done, then their means; as JSON one object at
 * the end.  A folder with `train` and `test` in it is taken as it is.  Of any other a fifth of each label is held out
 * to test on. */
MUST_CHECK bool eval_transfer(const struct conf *conf, const char *const *dirs, size_t n, double temperature, bool json,
                              struct err *e);

#endif
