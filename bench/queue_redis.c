/*
 * Bare Redis: what a broker on it can't be faster than. A producer's SEND is an XADD, whose answer is the receipt. A
 * consumer reads up to `prefetch` entries of the group and gives each an XACK and an XDEL, as each STOMP ACK is for one
 * message; all of them leave in one write with the next XREADGROUP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue_run.h"

#define GROUP                "group"
#define COMMAND_MAX          512
#define STRING(text, length) "$" #length "\r\n" text "\r\n"

/* Where a consumer is in the answer of an XREADGROUP: the stream's name, then each entry's id, field name and body. */
struct reading {
    bool is_counted_next; /* the next array is that of the entries */
    unsigned entries;     /* still to come */
    char id[64];
    size_t id_length;
    char ask[COMMAND_MAX]; /* the XREADGROUP */
    size_t ask_length;
};

static struct reading *reading_new(const struct work *work) {
    static unsigned consumers;
    struct reading *reading = calloc(1, sizeof *reading);
    char name[16];
    char count[16];
    if (!reading)
        die("memory", NULL);
    int name_length = snprintf(name, sizeof name, "%u", consumers++);
    int count_length = snprintf(count, sizeof count, "%u", work->prefetch);
    reading->ask_length =
        (size_t)snprintf(reading->ask, sizeof reading->ask,
                         "*11\r\n" STRING("XREADGROUP", 10) STRING("GROUP", 5)
                             STRING(GROUP, 5) "$%d\r\n%s\r\n" STRING("COUNT", 5) "$%d\r\n%s\r\n" STRING("BLOCK", 5)
                                 STRING("0", 1) STRING("STREAMS", 7) STRING(QUEUE_NAME, 5) STRING(">", 1),
                         name_length, name, count_length, count);
    return reading;
}

/* ---- what comes */

static void acknowledge(struct client *client, const struct reading *reading) {
    char commands[COMMAND_MAX];
    int length = snprintf(commands, sizeof commands,
                          "*4\r\n" STRING("XACK", 4) STRING(QUEUE_NAME, 5)
                              STRING(GROUP, 5) "$%zu\r\n%s\r\n"
                                               "*3\r\n" STRING("XDEL", 4) STRING(QUEUE_NAME, 5) "$%zu\r\n%s\r\n",
                          reading->id_length, reading->id, reading->id_length, reading->id);
    client_say(client, commands, (size_t)length);
    client->outstanding += 2;
}

static void take_entry_string(struct client *client, const char *bytes, size_t length) {
    struct reading *reading = client->protocol;
    if (length == BODY_SIZE) {
        run_delivered(client, bytes);
        acknowledge(client, reading);
        if (--reading->entries == 0)
            client_say(client, reading->ask, reading->ask_length);
    } else if (reading->entries == 0)
        reading->is_counted_next = true;
    else if (length > 1 && length < sizeof reading->id) { /* else it is the field's name */
        memcpy(reading->id, bytes, length);
        reading->id[length] = '\0';
        reading->id_length = length;
    }
}

static void take_string(struct client *client, const char *bytes, size_t length) {
    if (client->produces)
        run_receipted(client, client->numbers[client->oldest % WINDOW_MAX]);
    else
        take_entry_string(client, bytes, length);
}

static void take_count(struct client *client, long count) {
    struct reading *reading = client->protocol;
    if (reading && reading->is_counted_next) {
        reading->entries = (unsigned)count;
        reading->is_counted_next = false;
    }
}

/* The answer of an XACK or XDEL. */
static void take_integer(struct client *client, long value) {
    if (value != 1)
        die("an entry", "was not there to be acknowledged");
    client->outstanding--;
    if (client->leaving && client->outstanding == 0)
        client->gone = true;
}

static size_t take(struct client *client, const char *bytes, size_t length) {
    size_t taken = 0;
    for (;;) {
        const char *token = bytes + taken;
        const char *end = memchr(token, '\n', length - taken);
        if (!end)
            return taken;
        size_t size = (size_t)(end + 1 - token);
        long value = strtol(token + 1, NULL, 10);
        if (token[0] == '$') {
            if (length - taken < size + (size_t)value + 2)
                return taken;
            take_string(client, end + 1, (size_t)value);
            size += (size_t)value + 2;
        } else if (token[0] == '*')
            take_count(client, value);
        else if (token[0] == ':')
            take_integer(client, value);
        else if (token[0] == '-' && strncmp(token, "-BUSYGROUP", 10) != 0)
            die("Redis answers", token);
        taken += size;
    }
}

/* ---- what a client does */

static void open_client(struct client *client, const struct work *work) {
    static const char create[] = "*6\r\n" STRING("XGROUP", 6) STRING("CREATE", 6) STRING(QUEUE_NAME, 5) STRING(GROUP, 5)
        STRING("0", 1) STRING("MKSTREAM", 8);
    client_connect(client, work->target);
    client_say(client, create, sizeof create - 1);
    client_exchange(client);
    if (!client->produces) {
        struct reading *reading = reading_new(work);
        client->protocol = reading;
        client_say(client, reading->ask, reading->ask_length);
    }
}

static void send_message(struct client *client, uint64_t number) {
    static const char head[] =
        "*5\r\n" STRING("XADD", 4) STRING(QUEUE_NAME, 5) STRING("*", 1) STRING("m", 1) "$128\r\n";
    char *command = client_room(client, sizeof head - 1 + BODY_SIZE + 2);
    memcpy(command, head, sizeof head - 1);
    memset(command + sizeof head - 1, 'x', BODY_SIZE);
    write_number(command + sizeof head - 1, number);
    command[sizeof head - 1 + BODY_SIZE] = '\r';
    command[sizeof head - 1 + BODY_SIZE + 1] = '\n';
    client_said(client, sizeof head - 1 + BODY_SIZE + 2);
}

/* There is nothing to say: a consumer waits for the answers to its last commands. */
static void leave(struct client *client) {
    if (client->outstanding == 0)
        client->gone = true;
}

const struct protocol redis_protocol = {open_client, send_message, take, leave};
