/* Sockets and OpenSSL. */
#include "bench/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/fail.h"

static const char closed_by_server[] = "the connection was closed by the server";

_Noreturn static void fail_connect(const struct client *client) {
    if (errno == EADDRNOTAVAIL)
        fail(FAULT_SELF,
             "connection %u: no local port is left, or the address is not this machine's: give more "
             "addresses with --from",
             client->loop->opened);
    fail(FAULT_SELF, "connection %u to %s: %s", client->loop->opened, client->target->url, strerror(errno));
}

/* The port is chosen when it connects, so that one may serve for several targets. */
static void bind_from(const struct client *client) {
    const struct options *options = client->loop->options;
    int on = 1;
    if (options->from_count == 0)
        return;
    const struct sockaddr_storage *from = &options->from[client->loop->opened % options->from_count];
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(client->fd, (const struct sockaddr *)from,
             from->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) != 0)
        fail_connect(client);
}

void transport_connect(struct client *client) {
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    const struct target *target = client->target;
    int on = 1;
    client->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        fail_connect(client);
    bind_from(client);
    client->loop->opened++;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(client->fd, (const struct sockaddr *)&target->address, target->address_length) != 0 &&
        errno != EINPROGRESS && errno != ECONNREFUSED)
        fail_connect(client);
    if (epoll_ctl(client->loop->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        fail_connect(client);
}

void transport_watch(struct client *client, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(client->loop->epoll, EPOLL_CTL_MOD, client->fd, &event) != 0)
        fail(FAULT_SELF, "epoll: %s", strerror(errno));
}

/* ---- TLS */

static const char *tls_trouble(struct client *client, const char *what) {
    unsigned long error = ERR_get_error();
    long verified = SSL_get_verify_result(client->tls);
    const char *why = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                      : error               ? ERR_reason_error_string(error)
                                            : "the connection was closed";
    snprintf(client->loop->why, sizeof client->loop->why, "%s: %s%s", what, why,
             verified != X509_V_OK ? " (--ca names whom to trust, --insecure takes any)" : "");
    ERR_clear_error();
    return client->loop->why;
}

static void begin_tls(struct client *client) {
    const char *host = client->target->host;
    unsigned char address[16];
    bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    client->tls = need(SSL_new(client->loop->tls));
    if (is_address) {
        (void)X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(client->tls), host);
    } else {
        (void)SSL_set1_host(client->tls, host);
        (void)SSL_set_tlsext_host_name(client->tls, host);
    }
    if (SSL_set_fd(client->tls, client->fd) != 1)
        fail(FAULT_SELF, "OpenSSL does not take a socket");
}

bool transport_handshake(struct client *client, const char **why) {
    ERR_clear_error();
    int result = SSL_connect(client->tls);
    if (result == 1)
        return true;
    int error = SSL_get_error(client->tls, result);
    if (error == SSL_ERROR_WANT_READ)
        transport_watch(client, EPOLLIN);
    else if (error == SSL_ERROR_WANT_WRITE)
        transport_watch(client, EPOLLOUT);
    else
        *why = tls_trouble(client, "TLS fails");
    return false;
}

/* All that OpenSSL holds must be taken: epoll tells nothing of it. */
static const char *read_tls(struct client *client, struct buffer *buffer) {
    for (;;) {
        if (!buffer_reserve(buffer, TRANSPORT_READ_SIZE / 4))
            need(NULL);
        ERR_clear_error();
        int got = SSL_read(client->tls, buffer->data + buffer->len, (int)(TRANSPORT_READ_SIZE / 4));
        if (got > 0) {
            buffer->len += (size_t)got;
            continue;
        }
        int error = SSL_get_error(client->tls, got);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
            return NULL;
        return closed_by_server;
    }
}

static size_t write_tls(struct client *client, const char **why) {
    size_t written = 0;
    while (written < client->out.len) {
        size_t left = client->out.len - written;
        ERR_clear_error();
        int sent = SSL_write(client->tls, client->out.data + written, left < 1 << 30 ? (int)left : 1 << 30);
        if (sent <= 0) {
            int error = SSL_get_error(client->tls, sent);
            if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ)
                *why = closed_by_server;
            break;
        }
        written += (size_t)sent;
    }
    return written;
}

/* ---- both */

const char *transport_connected(struct client *client) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error == 0) {
        if (client->target->is_tls)
            begin_tls(client);
        return NULL;
    }
    snprintf(client->loop->why, sizeof client->loop->why, "it can't be reached: %s", strerror(error));
    return client->loop->why;
}

const char *transport_read(struct client *client, struct buffer *buffer) {
    if (client->tls)
        return read_tls(client, buffer);
    ssize_t got = recv(client->fd, buffer->data + buffer->len, buffer->capacity - buffer->len, MSG_DONTWAIT);
    if (got > 0)
        buffer->len += (size_t)got;
    return got > 0 || (got < 0 && errno == EAGAIN) ? NULL : closed_by_server;
}

size_t transport_write(struct client *client, const char **why) {
    if (client->tls)
        return write_tls(client, why);
    ssize_t sent = send(client->fd, client->out.data, client->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN)
        *why = closed_by_server;
    return sent > 0 ? (size_t)sent : 0;
}

void transport_close(struct client *client) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (client->tls) {
        SSL_set_quiet_shutdown(client->tls, 1);
        SSL_free(client->tls);
        client->tls = NULL;
    }
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(client->fd);
    client->fd = -1;
}
