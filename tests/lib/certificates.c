/* certificates.c - keys and certificates by GnuTLS. */
#include "tests/lib/certificates.h"

#include "tests/t.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

static void must(int code)
{
    if (code < 0)
        fail_msg("gnutls: %s", gnutls_strerror(code));
}

void certificate_make(const char *name, struct pem *out)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t cert;
    size_t n = sizeof out->key;
    must(gnutls_x509_privkey_init(&key));
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    must(gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, out->key, &n));
    must(gnutls_x509_crt_init(&cert));
    must(gnutls_x509_crt_set_version(cert, 3));
    must(gnutls_x509_crt_set_serial(cert, "\1", 1));
    must(gnutls_x509_crt_set_activation_time(cert, time(NULL) - 60));
    must(gnutls_x509_crt_set_expiration_time(cert, time(NULL) + 3600));
    must(gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)));
    must(gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_SET));
    must(gnutls_x509_crt_set_key(cert, key));
    must(gnutls_x509_crt_sign2(cert, cert, key, GNUTLS_DIG_SHA256, 0));
    n = sizeof out->cert;
    must(gnutls_x509_crt_export(cert, GNUTLS_X509_FMT_PEM, out->cert, &n));
    gnutls_x509_crt_deinit(cert);
    gnutls_x509_privkey_deinit(key);
}
