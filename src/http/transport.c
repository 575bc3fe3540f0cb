/*
 * transport.c - bytes to and from a socket, plain or through OpenSSL.
 *
 * Flow:  connection.c moves bytes through here; listener.c makes TLS contexts.
 * Owner: the worker of the connection. SSL objects are used by one thread; contexts by all.
 */
#include "http/http_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static ssize_t
errno_result(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? HTTP_IO_AGAIN
									 : HTTP_IO_FAILED;
}

/* What a failed SSL call means. */
static ssize_t
tls_result(struct http_connection *connection, int rc, bool is_receive)
{
	bool in_handshake = !SSL_is_init_finished(connection->tls);

	switch (SSL_get_error(connection->tls, rc)) {
	case SSL_ERROR_WANT_READ:
		return HTTP_IO_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		connection->tls_wants_out = true;
		return HTTP_IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return is_receive ? 0 : HTTP_IO_FAILED;
	default:
		if (in_handshake)
			http__count(&connection->worker->counters.tls_failures, 1);
		return HTTP_IO_FAILED;
	}
}

ssize_t
http__receive(struct http_connection *connection, uint8_t *to, size_t bytes_max)
{
	ssize_t count;
	size_t got;
	int rc;

	connection->tls_wants_out = false;
	if (connection->tls == NULL) {
		count = recv(connection->source.fd, to, bytes_max, 0);
		return count >= 0 ? count : errno_result();
	}
	ERR_clear_error();
	rc = SSL_read_ex(connection->tls, to, bytes_max, &got);
	return rc == 1 ? (ssize_t)got : tls_result(connection, rc, true);
}

ssize_t
http__send(struct http_connection *connection, const uint8_t *from, size_t bytes)
{
	ssize_t count;
	size_t put;
	int rc;

	if (connection->tls == NULL) {
		count = send(connection->source.fd, from, bytes, MSG_NOSIGNAL);
		return count >= 0 ? count : errno_result();
	}
	ERR_clear_error();
	rc = SSL_write_ex(connection->tls, from, bytes, &put);
	return rc == 1 ? (ssize_t)put : tls_result(connection, rc, false);
}

uint32_t
http__unsent(const struct http_connection *connection)
{
	int bytes = 0;

	return ioctl(connection->source.fd, SIOCOUTQ, &bytes) == 0 ? (uint32_t)bytes : 0;
}

void
http__shutdown(struct http_connection *connection)
{
	if (connection->tls != NULL && SSL_is_init_finished(connection->tls)) {
		ERR_clear_error();
		zp_ignore(SSL_shutdown(connection->tls)); /* only our half; theirs may never come */
	}
	zp_ignore(shutdown(connection->source.fd, SHUT_WR)); /* fails where the client is gone */
}

/* OpenSSL's first reason, as text for people. */
static int
tls_fail(struct zp_err *err, const char *what, const char *file)
{
	unsigned long code = ERR_get_error();
	const char *why =
	    ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

	ERR_clear_error();
	return zp_fail(
	    err, ZP_E_INVALID, "%s %s: %s", what, file, why != NULL ? why : "unknown reason");
}

/* We speak nothing but HTTP/1.1; a client that insists on something else may know at once. */
static int
alpn_select(SSL *tls, const unsigned char **chosen, unsigned char *chosen_length,
    const unsigned char *offered, unsigned int offered_length, void *context)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *found;

	(void)tls;
	(void)context;
	if (SSL_select_next_proto(&found, chosen_length, ours, sizeof(ours) - 1, offered,
		offered_length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*chosen = found;
	return SSL_TLSEXT_ERR_OK;
}

int
http__tls_context_new(
    const char *cert_file, const char *key_file, SSL_CTX **context_out, struct zp_err *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	int rc;

	if (context == NULL)
		return tls_fail(err, "make a TLS context for", cert_file);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_select_cb(context, alpn_select, NULL);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1) {
		rc = tls_fail(err, "read certificate", cert_file);
		goto fail;
	}
	if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(context) != 1) {
		rc = tls_fail(err, "use private key", key_file);
		goto fail;
	}
	*context_out = context;
	return 0;
fail:
	SSL_CTX_free(context);
	return rc;
}

int
zp_http_tls_check(const char *cert_file, const char *key_file, struct zp_err *err)
{
	const X509 *certificate;
	SSL_CTX *context;
	int rc = http__tls_context_new(cert_file, key_file, &context, err);

	if (rc < 0)
		return rc;
	certificate = SSL_CTX_get0_certificate(context);
	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		rc = zp_fail(err, ZP_E_INVALID, "certificate %s has expired", cert_file);
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		rc = zp_fail(err, ZP_E_INVALID, "certificate %s is not valid yet", cert_file);
	SSL_CTX_free(context);
	return rc;
}
