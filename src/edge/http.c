/* The HTTP side of a WebSocket listener. */
#include "http.h"

#include <libwebsockets.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "upgrade.h"

#define BODY_MAX      256
#define HEADERS_MAX   1024
#define FILE_PATH_MAX 1024

/* What some statuses must say besides the usual (RFC 9110: Allow; RFC 6455, section 4.4: the version). */
static bool add_headers_for(struct lws *wsi, unsigned status, unsigned char **at, unsigned char *end) {
    static const char get[] = "GET, HEAD";
    static const char version[] = "13";
    if (status == HTTP_STATUS_METHOD_NOT_ALLOWED)
        return !lws_add_http_header_by_name(wsi, (const unsigned char *)"allow:", (const unsigned char *)get,
                                            sizeof get - 1, at, end);
    if (status == 426)
        return !lws_add_http_header_by_name(wsi, (const unsigned char *)"sec-websocket-version:",
                                            (const unsigned char *)version, sizeof version - 1, at, end) &&
               !lws_add_http_header_by_name(wsi, (const unsigned char *)"upgrade:", (const unsigned char *)"websocket",
                                            9, at, end);
    return true;
}

/*
 * No request here needs a body. libwebsockets 4.1 loops for ever when one is pipelined behind another request, so a
 * request with a body is answered and its connection closed.
 */
bool http_has_body(struct lws *wsi) {
    char len[2];
    int copied = lws_hdr_copy(wsi, len, sizeof len, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        return true;
    return copied < 0 || (copied == 1 && len[0] != '0');
}

int http_reply(struct lws *wsi, unsigned status, const char *text) {
    unsigned char headers[LWS_PRE + HEADERS_MAX];
    unsigned char body[LWS_PRE + BODY_MAX];
    unsigned char *at = headers + LWS_PRE;
    unsigned char *end = headers + sizeof headers;
    int len = snprintf((char *)body + LWS_PRE, BODY_MAX, "%s\n", text);
    if (lws_add_http_common_headers(wsi, status, "text/plain", (lws_filepos_t)len, &at, end) ||
        !add_headers_for(wsi, status, &at, end) || lws_finalize_write_http_header(wsi, headers + LWS_PRE, &at, end))
        return -1;
    bool head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    if (!head && lws_write(wsi, body + LWS_PRE, (size_t)len, LWS_WRITE_HTTP_FINAL) != len)
        return -1;
    return http_has_body(wsi) || lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* No segment may lead out of the folder, and hidden files stay hidden. */
static bool is_plain_path(const char *path) {
    return path[0] == '/' && !strstr(path, "/.") && !strchr(path, '\\');
}

/* The file that the path names; a folder stands for its index.html. False: there is none. */
static bool find_file(const char *folder, const char *path, char *file, size_t size) {
    struct stat status;
    if (!is_plain_path(path))
        return false;
    int len = snprintf(file, size, "%s%s", folder, path);
    if (len < 0 || (size_t)len >= size || stat(file, &status) != 0)
        return false;
    if (S_ISDIR(status.st_mode)) {
        const char *index = file[len - 1] == '/' ? "index.html" : "/index.html";
        if ((size_t)len + strlen(index) >= size)
            return false;
        memcpy(file + len, index, strlen(index) + 1);
        if (stat(file, &status) != 0)
            return false;
    }
    return S_ISREG(status.st_mode);
}

static int serve_file(struct connection *connection, struct lws *wsi, const char *path) {
    static const char headers[] = "cache-control: no-cache\r\nx-content-type-options: nosniff\r\n";
    char file[FILE_PATH_MAX];
    if (!connection->listener->files || !find_file(connection->listener->files, path, file, sizeof file))
        return http_reply(wsi, HTTP_STATUS_NOT_FOUND, "not found");
    const char *type = lws_get_mimetype(file, NULL);
    int sent = lws_serve_http_file(wsi, file, type ? type : "application/octet-stream", headers, sizeof headers - 1);
    if (sent < 0 || (sent > 0 && lws_http_transaction_completed(wsi)))
        return -1;
    return 0;
}

uint64_t http_taken(struct lws *wsi) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_bytes_acked;
}

int http_request(struct connection *connection, struct lws *wsi, struct bytes target) {
    const char *path = target.data;
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    connection_serve(connection);
    if (!get && lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) == 0)
        return http_reply(wsi, HTTP_STATUS_METHOD_NOT_ALLOWED, "only GET and HEAD are possible here");
    if (http_has_body(wsi))
        return http_reply(wsi, HTTP_STATUS_BAD_REQUEST, "no request body is taken here");
    if (strlen(path) != target.len)
        return http_reply(wsi, HTTP_STATUS_BAD_REQUEST, "a NUL in the path");
    if (strcmp(path, "/healthz") == 0)
        return connection->worker->draining ? http_reply(wsi, HTTP_STATUS_SERVICE_UNAVAILABLE, "draining")
                                            : http_reply(wsi, HTTP_STATUS_OK, "ok");
    if (upgrade_path_exists(connection->listener, path))
        return http_reply(wsi, 426, "this path is for WebSocket connections");
    return serve_file(connection, wsi, path);
}
