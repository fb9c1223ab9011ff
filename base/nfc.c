/* nfc.c - utf8proc's composition. */
#include "base/nfc.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/mem.h"

char *nfc_text(const char *text)
{
    utf8proc_uint8_t *made = NULL;
    const utf8proc_option_t options = UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, 0, &made, options);
    char *out = mem_text(n >= 0 ? (const char *)made : text);
    free(made);
    return out;
}
