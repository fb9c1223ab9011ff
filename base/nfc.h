/* nfc.h - one spelling for texts that look the same (Unicode's normalisation form C, by utf8proc). */
#ifndef ANCHORD_BASE_NFC_H
#define ANCHORD_BASE_NFC_H

/* The text composed, as keyboards write it: "e" and a combining accent become one character.  Text that is not UTF-8
 * comes back as it is.  The caller's to free(). */
char *nfc_text(const char *text);

#endif
