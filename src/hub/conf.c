/* The conf file as a whole: opened, read (conf_reader.c), and completed with what follows from several keys. */
#include "stompd/hub/conf.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_reader.h"
#include "conf_types.h"

static void cluster_settings_free(struct cluster_settings *cluster) {
    if (cluster->redis)
        redis_address_free(cluster->redis);
    free(cluster->redis);
    free(cluster->password_file);
    free(cluster->prefix);
    free(cluster->registry_prefix);
}

void conf_free(struct conf *conf) {
    if (!conf)
        return;
    listeners_free(conf->listeners, conf->listener_count);
    users_free(&conf->users);
    policies_free(&conf->policies);
    cluster_settings_free(&conf->cluster);
    free(conf->admin.bind);
    free(conf->admin.token_file);
    free(conf->node);
    free(conf);
}

static void name_node_after_host(struct conf_reader *reader) {
    char host[HOST_NAME_MAX + 1];
    if (gethostname(host, sizeof host) != 0 || !conf_is_name(host))
        conf_fault(reader, reader->line, "the host name can't name the node, expected node in [server]: %s",
                   CONF_NAME_FORM);
    else if (!(reader->conf->node = strdup(host)))
        conf_fault_memory(reader);
}

static void complete_limits(struct session_limits *limits) {
    struct stomp_parser_limits *frames = &limits->frames;
    struct stomp_parser_limits *before_login = &limits->before_login;
    frames->frame_size_key = "frame-size";
    before_login->frame_size_key = "frame-size-before-login";
    before_login->headers = frames->headers;
    before_login->header_size = frames->header_size;
    before_login->body_size =
        frames->body_size < before_login->frame_size ? frames->body_size : before_login->frame_size;
}

static void complete(struct conf_reader *reader) {
    if (reader->conf->listener_count == 0)
        conf_fault(reader, reader->line, "no [listen NAME] section, expected one at least");
    if (!reader->conf->node)
        name_node_after_host(reader);
    admin_check_bind(reader);
    complete_limits(&reader->conf->limits);
}

static void read_file(struct conf_reader *reader) {
    FILE *file = fopen(reader->file, "re");
    if (!file) {
        conf_fault(reader, 0, "can't be opened (%s), expected a file that can be read", strerror(errno));
        return;
    }
    if (conf_reader_read(reader, file))
        complete(reader);
    fclose(file);
}

struct conf *conf_read(const char *file, FILE *faults) {
    struct conf_reader reader;
    struct conf *conf = calloc(1, sizeof *conf);
    if (!conf) {
        fprintf(faults, "%s:0: out of memory, expected enough to hold the file\n", file);
        return NULL;
    }
    users_init(&conf->users);
    conf_reader_init(&reader, conf, file, faults);
    read_file(&reader);
    conf_reader_free(&reader);
    if (!reader.faulty)
        return conf;
    conf_free(conf);
    return NULL;
}
