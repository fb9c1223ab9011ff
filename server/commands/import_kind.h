/* import_kind.h - what a file is that is not read as a picture. */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_KIND_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_KIND_H

/* "HEIC", "GIF", "camera raw", "film", "no picture", ...: by its first bytes, else by its name; static.  NULL for one
 * that shall be sent: a JPEG, PNG or WebP by its content or by its name. */
const char *import_kind(const char *path);

#endif
