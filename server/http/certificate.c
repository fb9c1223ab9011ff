/* certificate.c - the current chain and key, and GnuTLS's question for them. */
#include "server/http/certificate.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { CHAIN_MAX = 16 };

/* One that was replaced stays: sessions that began with it point into it.  They are few and small. */
struct certificate {
    struct certificate *before;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned n;
    gnutls_privkey_t key;
    char fingerprint[HASH_HEX];
};

static _Atomic(struct certificate *) current;

static gnutls_datum_t datum_of(const char *text)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

static void discard(struct certificate *c)
{
    for (unsigned i = 0; i < c->n; i++)
        gnutls_pcert_deinit(&c->chain[i]);
    if (c->key)
        gnutls_privkey_deinit(c->key);
    free(c);
}

/* GnuTLS looks for itself whether the key is the leaf's. */
static int check_pair(const gnutls_datum_t *chain, const gnutls_datum_t *key)
{
    gnutls_certificate_credentials_t both;
    int code = gnutls_certificate_allocate_credentials(&both);
    if (code < 0)
        return code;
    code = gnutls_certificate_set_x509_key_mem(both, chain, key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(both);
    return code;
}

static int load(struct certificate *c, const gnutls_datum_t *chain, const gnutls_datum_t *key)
{
    unsigned n = CHAIN_MAX;
    int code = check_pair(chain, key);
    if (code >= 0)
        code = gnutls_pcert_list_import_x509_raw(c->chain, &n, chain, GNUTLS_X509_FMT_PEM, 0);
    if (code < 0)
        return code;
    c->n = n;
    code = gnutls_privkey_init(&c->key);
    return code < 0 ? code : gnutls_privkey_import_x509_raw(c->key, key, GNUTLS_X509_FMT_PEM, NULL, 0);
}

bool certificate_use(const char *chain_pem, const char *key_pem, struct err *e)
{
    struct certificate *c = mem_new(1, sizeof *c);
    gnutls_datum_t chain = datum_of(chain_pem), key = datum_of(key_pem);
    int code = load(c, &chain, &key);
    if (code < 0) {
        discard(c);
        return err_set(e, ERR_BAD_INPUT, "the certificate and its key cannot be used: %s", gnutls_strerror(code));
    }
    hash_text(c->chain[0].cert.data, c->chain[0].cert.size, c->fingerprint);
    c->before = atomic_load(&current);
    while (!atomic_compare_exchange_weak(&current, &c->before, c))
        ;
    return true;
}

void certificate_fingerprint(char out[HASH_HEX])
{
    const struct certificate *c = atomic_load(&current);
    snprintf(out, HASH_HEX, "%s", c ? c->fingerprint : "");
}

static int answer(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
                  const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **chain, unsigned *n,
                  gnutls_privkey_t *key)
{
    struct certificate *c = atomic_load(&current);
    UNUSED(session);
    UNUSED(authorities);
    UNUSED(n_authorities);
    UNUSED(algorithms);
    UNUSED(n_algorithms);
    *chain = c->chain;
    *n = c->n;
    *key = c->key;
    return 0;
}

void *certificate_callback(void)
{
    gnutls_certificate_retrieve_function2 *function = answer;
    void *object;
    memcpy(&object, &function, sizeof object); /* ISO C has no cast from a function's pointer to an object's */
    return object;
}
