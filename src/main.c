/* stompd: start and stop, in order. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stompd/base/hash.h"
#include "stompd/base/log.h"
#include "stompd/hub/conf.h"
#include "stompd/hub/hub.h"

static int usage(FILE *out, int status) {
    fprintf(out, "usage: stompd -c FILE    run with that conf file, in the foreground\n"
                 "       stompd -t -c FILE check the conf file and end\n"
                 "       stompd -V         print the version and end\n"
                 "       stompd -h         print this\n");
    return status;
}

static int run(const struct conf *conf, const char *file) {
    log_set_level(conf->log_level);
    if (conf->users.by_name.count == 0 && !conf->users.anonymous)
        log_notice("nobody can log in: the conf file has no [user NAME] and not anonymous = yes");
    struct hub *hub = hub_new(conf, file);
    bool ran = hub && hub_run(hub);
    hub_free(hub);
    return ran ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    const char *file = NULL;
    bool check = false;
    int option;
    while ((option = getopt(argc, argv, "c:tVh")) != -1) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 't':
            check = true;
            break;
        case 'V':
            printf("stompd %s\n", STOMPD_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            return usage(stdout, EXIT_SUCCESS);
        default:
            return usage(stderr, EXIT_FAILURE);
        }
    }
    if (optind < argc && !file) /* `stompd -t FILE` is what people type */
        file = argv[optind++];
    if (!file || optind < argc)
        return usage(stderr, EXIT_FAILURE);
    signal(SIGPIPE, SIG_IGN);
    hash_seed();
    struct conf *conf = conf_read(file, stderr);
    if (!conf)
        return EXIT_FAILURE;
    int status = check ? EXIT_SUCCESS : run(conf, file);
    conf_free(conf);
    return status;
}
