/* tls_link.c - GnuTLS's client side. */
#include "server/commands/tls_link.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct tls_link {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

static bool failed(int code, const char *what, struct err *e)
{
    return err_set(e, ERR_IO, "%s: %s", what, gnutls_strerror(code));
}

static bool load_authorities(struct tls_link *l, const struct tls_trust *trust, struct err *e)
{
    int n = trust->ca_file ? gnutls_certificate_set_x509_trust_file(l->credentials, trust->ca_file, GNUTLS_X509_FMT_PEM)
            : trust->certificate ? 1
                                 : gnutls_certificate_set_x509_system_trust(l->credentials);
    if (trust->ca_file && n <= 0)
        return err_set(e, ERR_BAD_INPUT, "%s: no certificates in it", trust->ca_file);
    return n >= 0 || failed(n, "reading the system's authorities", e);
}

/* An address needs no name told: RFC 6066 has none for it. */
static bool prepare(struct tls_link *l, int fd, const char *host, const struct tls_trust *trust, struct err *e)
{
    int code = gnutls_certificate_allocate_credentials(&l->credentials);
    if (code >= 0)
        code = gnutls_init(&l->session, GNUTLS_CLIENT);
    if (code >= 0)
        code = gnutls_set_default_priority(l->session);
    if (code >= 0)
        code = gnutls_credentials_set(l->session, GNUTLS_CRD_CERTIFICATE, l->credentials);
    if (code >= 0 && strspn(host, "0123456789.") != strlen(host) && !strchr(host, ':'))
        code = gnutls_server_name_set(l->session, GNUTLS_NAME_DNS, host, strlen(host));
    if (code < 0)
        return failed(code, "TLS", e);
    if (!load_authorities(l, trust, e))
        return false;
    if (!trust->certificate)
        gnutls_session_set_verify_cert(l->session, host, 0);
    gnutls_transport_set_int(l->session, fd);
    return true;
}

static bool is_the_one(struct tls_link *l, const char *certificate)
{
    char seen[HASH_HEX] = "";
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(l->session, &n);
    if (n > 0)
        hash_text(chain[0].data, chain[0].size, seen);
    return strcmp(seen, certificate) == 0;
}

static bool shake_hands(struct tls_link *l, const char *host, const struct tls_trust *trust, struct err *e)
{
    int code;
    do
        code = gnutls_handshake(l->session);
    while (code < 0 && !gnutls_error_is_fatal(code));
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR || code == GNUTLS_E_CERTIFICATE_ERROR)
        return err_set(e, ERR_FORBIDDEN,
                       "the certificate of %s is not trusted: %s; --ca-file names a file of authorities to trust", host,
                       gnutls_strerror(code));
    if (code < 0)
        return failed(code, "shaking hands over TLS", e);
    return !trust->certificate || is_the_one(l, trust->certificate) ||
           err_set(e, ERR_FORBIDDEN, "%s has another certificate than the server of the data folder", host);
}

struct tls_link *tls_link_open(int fd, const char *host, const struct tls_trust *trust, struct err *e)
{
    struct tls_link *l = mem_new(1, sizeof *l);
    if (prepare(l, fd, host, trust, e) && shake_hands(l, host, trust, e))
        return l;
    tls_link_close(l);
    return NULL;
}

void tls_link_close(struct tls_link *l)
{
    if (!l)
        return;
    if (l->session) {
        gnutls_bye(l->session, GNUTLS_SHUT_WR);
        gnutls_deinit(l->session);
    }
    if (l->credentials)
        gnutls_certificate_free_credentials(l->credentials);
    free(l);
}

ssize_t tls_link_send(struct tls_link *l, const void *data, size_t len)
{
    ssize_t n;
    do
        n = gnutls_record_send(l->session, data, len);
    while (n == GNUTLS_E_INTERRUPTED);
    return n < 0 ? -1 : n;
}

ssize_t tls_link_receive(struct tls_link *l, void *out, size_t len)
{
    ssize_t n;
    do
        n = gnutls_record_recv(l->session, out, len);
    while (n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_REHANDSHAKE);
    return n < 0 ? -1 : n;
}
