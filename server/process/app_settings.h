/* app_settings.h - from the settings of the user to the options of the app, for every command that opens one. */
#ifndef ANCHORD_SERVER_PROCESS_APP_SETTINGS_H
#define ANCHORD_SERVER_PROCESS_APP_SETTINGS_H

#include "api/services/app.h"
#include "base/conf.h"

/* Strings are borrowed from the settings. */
struct app_options app_settings(const struct conf *c);
bool admin_key_is_set(const struct conf *c); /* in the settings, beside the keys of the data folder */
struct image_limits image_settings(const struct conf *c);
struct encoder_options encoder_settings(const struct conf *c);

#endif
