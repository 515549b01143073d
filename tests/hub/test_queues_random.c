/*
 * The whole way of queues in a seeded random order: two workers whose sessions put, settle, return, reject, come and go,
 * with mail that lies unread; the store in memory, behind a link that breaks. Every change has one result; what was
 * accepted is settled once and by one who had it, and nobody ever has it twice; what was refused never comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/hub/queues.h"
#include "base/random.h"
#include "flaky_queues.h"
#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"
#include "stompd/store/memory_queues.h"

#define SEEDS        150
#define STEPS        400
#define WORKERS      2
#define CONSUMERS    8
#define MESSAGES_MAX 4000
#define QUEUES       3 /* the last is the dead-letter queue of the others */
#define FULL         40
#define START        1000 /* ms */

enum fate {
    FATE_PENDING, /* nobody knows yet whether it is stored */
    FATE_REFUSED,
    FATE_STORED,
    FATE_GONE /* settled, or rejected out of the dead-letter queue */
};

struct parcel {
    enum fate fate;
    bool held;     /* a consumer has it */
    bool settling; /* a change on its way settles it */
    bool moved;    /* it was given back, so it may come out of order */
};

struct held {
    unsigned parcel;
    struct entry entry;
    uint64_t size; /* of its message; 0: written */
};

struct eater {
    bool open;
    unsigned worker;
    unsigned queue;
    uint64_t id;
    uint32_t prefetch;
    struct held held[16];
    unsigned count;
    unsigned last; /* parcel that came first-hand */
};

/* A change that waits for its result. */
struct pending {
    unsigned puts[4];
    unsigned put_count;
    unsigned ends[4]; /* parcels that it settles for good */
    unsigned end_count;
};

struct run {
    struct flaky_queues store;
    struct queues *queues;
    struct mailbox boxes[WORKERS];
    struct mailbox *mailboxes[WORKERS];
    struct mail *unread[WORKERS];
    struct policies policies;
    struct policy policy;
    struct eater eaters[CONSUMERS];
    struct parcel parcels[MESSAGES_MAX];
    unsigned parcel_count;
    unsigned waiting; /* pendings */
    uint64_t consumers;
    uint64_t seed;
    uint64_t random;
    bool down;
    bool stay; /* consumers do not go: what comes for one that has gone is returned, and may come out of order */
};

static const char *const names[QUEUES] = {"q:a", "q:b", "q:x.dead"};
static uint64_t now_ms;

static uint64_t clock_of_test(void) {
    return now_ms;
}

static unsigned below(struct run *run, unsigned bound) {
    return (unsigned)random_below(&run->random, bound);
}

static void on_wake(void *arg) {
    (void)arg;
}

/* ---- life ---- */

static void begin(struct run *run, uint64_t seed) {
    static char pattern[] = "/queue/**";
    *run = (struct run){.seed = seed, .random = seed * 0x9e3779b97f4a7c15, .stay = seed % 2 == 0};
    now_ms = START;
    run->policy = (struct policy){
        .pattern = pattern, .queue = {.max_messages = FULL, .max_deliveries = 5, .dead_letter = names[QUEUES - 1]}};
    run->policies = (struct policies){.list = &run->policy, .count = 1};
    struct queue_store *store = memory_queues_new(1 << 20, clock_of_test, NULL, NULL);
    assert_non_null(store);
    flaky_queues_init(&run->store, store);
    for (unsigned n = 0; n < WORKERS; n++) {
        mailbox_init(&run->boxes[n], on_wake, NULL);
        run->mailboxes[n] = &run->boxes[n];
    }
    run->queues = queues_new(&(struct queues_conf){.workers = WORKERS,
                                                   .mailboxes = run->mailboxes,
                                                   .store = &run->store.front,
                                                   .policies = &run->policies,
                                                   .up = true},
                             now_ms);
    assert_non_null(run->queues);
}

static void end(struct run *run) {
    queues_free(run->queues);
    flaky_queues_free(&run->store);
}

/* ---- what workers send ---- */

static void post(struct run *run, const struct mail *mail) {
    assert_true(queues_take_mail(run->queues, mail, now_ms));
}

static void post_consumer(struct run *run, enum mail_type type, const struct eater *eater, uint64_t bytes) {
    struct mail_consumer mail = {.mail.type = type, .from = eater->worker, .consumer = eater->id, .bytes = bytes};
    post(run, &mail.mail);
}

static void submit(struct run *run, unsigned worker, struct change *change) {
    struct mail_change mail = {.mail.type = MAIL_CHANGE, .from = worker, .change = change};
    run->waiting += change->pending != NULL;
    post(run, &mail.mail);
}

static struct change *change_for(bool pending) {
    struct change *change = change_new();
    assert_non_null(change);
    change->pending = pending ? calloc(1, sizeof *change->pending) : NULL;
    assert_true(!pending || change->pending);
    return change;
}

/* The body is the parcel's number. */
static void add_put(struct run *run, struct change *change, unsigned queue) {
    unsigned parcel = run->parcel_count++;
    struct stomp_publication publication = {.destination = BYTES("/queue/x"),
                                            .message_id = BYTES("1"),
                                            .body = {(const char *)&parcel, sizeof parcel},
                                            .route = ROUTE_QUEUE,
                                            .key = bytes_of(names[queue])};
    assert_in_range(parcel, 0, MESSAGES_MAX - 1);
    struct operation put = {.kind = OPERATION_PUT, .message = stomp_write_message(WORKERS, &publication)};
    assert_non_null(put.message);
    assert_true(change_add(change, &put));
    change->pending->puts[change->pending->put_count++] = parcel;
}

static void write_it(struct run *run, struct eater *eater, struct held *held) {
    if (held->size > 0)
        post_consumer(run, MAIL_WRITTEN, eater, held->size);
    held->size = 0;
}

static void add_operation(struct change *change, enum operation_kind kind, bool counted, uint64_t consumer,
                          const struct entry *entry) {
    struct operation operation = {.kind = kind, .counted = counted, .consumer = consumer, .entry = *entry};
    assert_true(change_add(change, &operation));
}

/* The consumer gives back one that it has. */
static void add_end(struct run *run, struct change *change, struct eater *eater, enum operation_kind kind,
                    bool counted) {
    struct held held = eater->held[0];
    struct parcel *parcel = &run->parcels[held.parcel];
    write_it(run, eater, &held);
    eater->count--;
    for (unsigned n = 0; n < eater->count; n++)
        eater->held[n] = eater->held[n + 1];
    parcel->held = false;
    parcel->moved = true;
    add_operation(change, kind, counted, eater->id, &held.entry);
    if (kind == OPERATION_RETURN || (kind == OPERATION_REJECT && eater->queue < QUEUES - 1))
        return;
    assert_non_null(change->pending);
    parcel->settling = true;
    change->pending->ends[change->pending->end_count++] = held.parcel;
}

static void consume(struct run *run, struct eater *eater, unsigned worker, unsigned queue, uint32_t prefetch) {
    size_t len = strlen(names[queue]);
    struct mail_consume *mail = malloc(sizeof *mail + len);
    assert_non_null(mail);
    *eater =
        (struct eater){.open = true, .worker = worker, .queue = queue, .id = ++run->consumers, .prefetch = prefetch};
    *mail = (struct mail_consume){
        .mail.type = MAIL_CONSUME, .from = worker, .consumer = eater->id, .prefetch = prefetch, .queue_len = len};
    memcpy(mail->text, names[queue], len);
    post(run, &mail->mail);
    free(mail);
}

static void unconsume(struct run *run, struct eater *eater) {
    struct change *change = change_for(false);
    while (eater->count > 0)
        add_end(run, change, eater, OPERATION_RETURN, below(run, 2) == 0);
    if (change->count > 0)
        submit(run, eater->worker, change);
    else
        change_free(change);
    post_consumer(run, MAIL_UNCONSUME, eater, 0);
    eater->open = false;
}

/* ---- what workers read ---- */

static void read_result(struct run *run, const struct mail_changed *mail) {
    struct pending *pending = mail->pending;
    bool done = mail->result == CHANGE_DONE;
    assert_true(done || mail->result == CHANGE_FULL);
    run->waiting--;
    for (unsigned n = 0; n < pending->put_count; n++) {
        struct parcel *parcel = &run->parcels[pending->puts[n]];
        if (parcel->fate == FATE_GONE || parcel->held || parcel->settling)
            assert_true(done);
        if (parcel->fate == FATE_PENDING)
            parcel->fate = done ? FATE_STORED : FATE_REFUSED;
    }
    for (unsigned n = 0; n < pending->end_count; n++) {
        struct parcel *parcel = &run->parcels[pending->ends[n]];
        assert_true(!done || parcel->settling);
        parcel->settling = false;
        if (done)
            parcel->fate = FATE_GONE;
    }
    free(pending);
}

static struct eater *find(struct run *run, uint64_t id) {
    for (unsigned n = 0; n < CONSUMERS; n++)
        if (run->eaters[n].open && run->eaters[n].id == id)
            return &run->eaters[n];
    return NULL;
}

static void keep(struct run *run, struct eater *eater, const struct mail_delivery *mail) {
    unsigned number;
    memcpy(&number, message_body(mail->message).data, sizeof number);
    struct parcel *parcel = &run->parcels[number];
    assert_true(number < run->parcel_count && eater->count < eater->prefetch);
    assert_true(parcel->fate == FATE_STORED || parcel->fate == FATE_PENDING);
    assert_false(parcel->held);
    if (run->stay && !parcel->moved && eater->queue < QUEUES - 1) {
        assert_true(eater->last < number + 1);
        eater->last = number + 1;
    }
    parcel->held = true;
    eater->held[eater->count++] = (struct held){number, mail->entry, message_size(mail->message)};
}

static void read_delivery(struct run *run, unsigned worker, const struct mail_delivery *mail) {
    struct eater *eater = find(run, mail->consumer);
    unsigned number;
    memcpy(&number, message_body(mail->message).data, sizeof number);
    if (eater) {
        keep(run, eater, mail);
    } else {
        struct change *change = change_for(false);
        run->parcels[number].moved = true;
        add_operation(change, OPERATION_RETURN, false, mail->consumer, &mail->entry);
        submit(run, worker, change);
    }
    message_unref(mail->message);
}

static void read_one(struct run *run, unsigned worker) {
    struct mail *mail = run->unread[worker];
    if (!mail)
        mail = run->unread[worker] = mailbox_take(&run->boxes[worker]);
    if (!mail)
        return;
    run->unread[worker] = mail->next;
    if (mail->type == MAIL_CHANGED)
        read_result(run, (struct mail_changed *)mail);
    else if (mail->type == MAIL_DELIVERY)
        read_delivery(run, worker, (struct mail_delivery *)mail);
    free(mail);
}

static bool has_mail(struct run *run, unsigned worker) {
    if (!run->unread[worker])
        run->unread[worker] = mailbox_take(&run->boxes[worker]);
    return run->unread[worker] != NULL;
}

/* ---- steps ---- */

static void step_change(struct run *run) {
    struct change *change = change_for(true);
    struct eater *eater = &run->eaters[below(run, CONSUMERS)];
    unsigned puts = below(run, 4);
    unsigned ends = below(run, 4);
    change->together = below(run, 2) == 0;
    for (unsigned n = 0; n < puts; n++)
        add_put(run, change, below(run, QUEUES - 1));
    if (!change->together)
        ends = puts > 0 ? 0 : 1; /* as sessions do it */
    for (unsigned n = 0; n < ends && eater->count > 0; n++) {
        static const enum operation_kind kinds[] = {OPERATION_SETTLE, OPERATION_SETTLE, OPERATION_RETURN,
                                                    OPERATION_REJECT};
        add_end(run, change, eater, kinds[below(run, 4)], true);
    }
    submit(run, eater->worker, change);
}

static void step_consumer(struct run *run) {
    struct eater *eater = &run->eaters[below(run, CONSUMERS)];
    if (eater->open && !run->stay)
        unconsume(run, eater);
    else if (!eater->open)
        consume(run, eater, below(run, WORKERS), below(run, QUEUES), 1 + below(run, 16));
}

static void step_written(struct run *run) {
    struct eater *eater = &run->eaters[below(run, CONSUMERS)];
    if (eater->count > 0)
        write_it(run, eater, &eater->held[below(run, eater->count)]);
}

static void mend(struct run *run) {
    flaky_queues_mend(&run->store);
    queues_down(run->queues);
    run->down = true;
}

static void up(struct run *run) {
    queues_up(run->queues, false);
    run->down = false;
}

/* A node renews its entry once it has heard that it is gone, so nothing that it called before is carried out then. */
static void come_back(struct run *run) {
    (void)flaky_queues_answer(&run->store, SIZE_MAX);
    run->store.gone = false;
    if (below(run, 2) == 0)
        up(run);
}

static void step_link(struct run *run) {
    if (run->store.broken)
        mend(run);
    else if (run->down)
        up(run);
    else if (below(run, 2) == 0)
        flaky_queues_break(&run->store);
    else if (!run->store.gone)
        run->store.gone = true;
    else
        come_back(run);
}

static void pass_time(struct run *run) {
    uint64_t before = now_ms;
    now_ms += below(run, 60);
    if (before / 100 != now_ms / 100)
        queues_tick(run->queues, now_ms);
}

static void step(struct run *run) {
    unsigned choice = below(run, 100);
    if (choice < 30)
        step_change(run);
    else if (choice < 38)
        step_consumer(run);
    else if (choice < 45)
        step_written(run);
    else if (choice < 49)
        step_link(run);
    else if (choice < 70)
        (void)flaky_queues_answer(&run->store, below(run, 4));
    else
        read_one(run, below(run, WORKERS));
    pass_time(run);
    if (below(run, 2) == 0)
        queues_flush(run->queues, now_ms);
}

/* ---- rest ---- */

/* Until nothing is left to be answered or read. */
static void come_to_rest(struct run *run) {
    for (unsigned quiet = 0; quiet < 3; quiet++) {
        now_ms += QUEUES_SWEEP_MS;
        queues_tick(run->queues, now_ms);
        queues_flush(run->queues, now_ms);
        while (flaky_queues_answer(&run->store, 1)) {
        }
        queues_flush(run->queues, now_ms);
        for (unsigned n = 0; n < WORKERS; n++)
            for (; has_mail(run, n); quiet = 0)
                read_one(run, n);
    }
}

static void mend_all(struct run *run) {
    if (run->store.broken)
        mend(run);
    come_back(run);
    if (run->down)
        up(run);
}

static void settle_all(struct run *run, struct eater *eater) {
    while (eater->count > 0) {
        struct change *change = change_for(true);
        add_end(run, change, eater, OPERATION_SETTLE, true);
        submit(run, eater->worker, change);
    }
}

static bool is_left(const struct run *run) {
    for (unsigned n = 0; n < run->parcel_count; n++)
        if (run->parcels[n].fate == FATE_STORED)
            return true;
    return false;
}

static void consume_the_rest(struct run *run) {
    for (unsigned n = 0; n < QUEUES; n++)
        consume(run, &run->eaters[n], 0, n, 16);
    for (unsigned round = 0; round < 100 && (round == 0 || is_left(run)); round++) {
        come_to_rest(run);
        for (unsigned n = 0; n < QUEUES; n++)
            settle_all(run, &run->eaters[n]);
    }
    come_to_rest(run);
}

static void check_end(const struct run *run) {
    for (unsigned n = 0; n < run->parcel_count; n++)
        assert_true(run->parcels[n].fate == FATE_GONE || run->parcels[n].fate == FATE_REFUSED);
    assert_int_equal(run->waiting, 0);
    assert_true(queues_is_settled(run->queues));
}

static void nothing_is_lost_and_nothing_comes_twice(void **state) {
    static struct run run;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(&run, seed);
        for (unsigned n = 0; n < STEPS; n++)
            step(&run);
        mend_all(&run);
        run.stay = false;
        for (unsigned n = 0; n < CONSUMERS; n++)
            if (run.eaters[n].open)
                unconsume(&run, &run.eaters[n]);
        come_to_rest(&run);
        assert_true(queues_is_settled(run.queues));
        consume_the_rest(&run);
        check_end(&run);
        end(&run);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_lost_and_nothing_comes_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
