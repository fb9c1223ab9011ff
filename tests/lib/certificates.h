/* certificates.h - certificates for tests, signed by themselves and valid for an hour. */
#ifndef ANCHORD_TESTS_LIB_CERTIFICATES_H
#define ANCHORD_TESTS_LIB_CERTIFICATES_H

struct pem {
    char cert[4096], key[4096];
};

void certificate_make(const char *name, struct pem *out);

#endif
