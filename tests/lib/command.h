/* command.h - running the program's commands from a test, and folders of pictures to run them on. */
#ifndef ANCHORD_TESTS_LIB_COMMAND_H
#define ANCHORD_TESTS_LIB_COMMAND_H

#include <stddef.h>
#include <stdint.h>

/* Runs `anchord` with the arguments up to NULL and asserts its exit code.  Gives what it printed (standard output and
 * error together), the caller's to free(). */
char *command(int exit_code, const char *first, ...);
/* The same when the text does not matter. */
#define command_only(...) free(command(__VA_ARGS__))

void assert_contains(const char *text, const char *part);

/* Writes DIR/PATH, making its folders. */
void write_file(const char *dir, const char *path, const void *bytes, size_t len);
/* Writes a drawn JPEG, 64 pixels square; the same seed gives the same bytes. */
void write_picture(const char *dir, const char *path, uint64_t seed);
void write_large_picture(const char *dir, const char *path, uint64_t seed); /* 2048 pixels: takes its time */

#endif
