#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "stompd/base/mailbox.h"

static void count_wake(void *arg) {
    ++*(unsigned *)arg;
}

/* The types of all mail in the box, in the order taken, as a number in base ten. */
static unsigned take_types(struct mailbox *mailbox) {
    unsigned types = 0;
    for (const struct mail *mail = mailbox_take(mailbox); mail; mail = mail->next)
        types = types * 10 + mail->type;
    return types;
}

static void mail_is_taken_oldest_first(void **state) {
    (void)state;
    unsigned wakes = 0;
    struct mailbox mailbox;
    struct mail mail[3] = {{.type = 1}, {.type = 2}, {.type = 3}};
    mailbox_init(&mailbox, count_wake, &wakes);
    assert_null(mailbox_take(&mailbox));
    for (int n = 0; n < 3; n++)
        mailbox_post(&mailbox, &mail[n]);
    assert_int_equal(take_types(&mailbox), 123);
    assert_null(mailbox_take(&mailbox));
}

static void only_the_post_that_finds_the_box_empty_wakes(void **state) {
    (void)state;
    unsigned wakes = 0;
    struct mailbox mailbox;
    struct mail_batch batch = {0};
    struct mail mail[4] = {{.type = 1}, {.type = 2}, {.type = 3}, {.type = 4}};
    mailbox_init(&mailbox, count_wake, &wakes);
    mailbox_post(&mailbox, &mail[0]);
    assert_int_equal(wakes, 1);
    mailbox_post(&mailbox, &mail[1]);
    mail_batch_add(&batch, &mail[2]);
    mailbox_post_batch(&mailbox, &batch);
    assert_int_equal(wakes, 1);
    assert_int_equal(take_types(&mailbox), 123);
    mail_batch_add(&batch, &mail[3]);
    mailbox_post_batch(&mailbox, &batch);
    assert_int_equal(wakes, 2);
}

static void batch_keeps_its_order_behind_what_was_posted_before(void **state) {
    (void)state;
    unsigned wakes = 0;
    struct mailbox mailbox;
    struct mail_batch batch = {0};
    struct mail mail[5] = {{.type = 1}, {.type = 2}, {.type = 3}, {.type = 4}, {.type = 5}};
    mailbox_init(&mailbox, count_wake, &wakes);
    mail_batch_add(&batch, &mail[1]);
    mail_batch_add(&batch, &mail[2]);
    mail_batch_add(&batch, &mail[3]);
    mailbox_post(&mailbox, &mail[0]);
    mailbox_post_batch(&mailbox, &batch);
    mailbox_post(&mailbox, &mail[4]);
    assert_int_equal(take_types(&mailbox), 12345);
}

static void posted_batch_is_empty_and_an_empty_one_does_nothing(void **state) {
    (void)state;
    unsigned wakes = 0;
    struct mailbox mailbox;
    struct mail_batch batch = {0};
    struct mail mail = {.type = 7};
    mailbox_init(&mailbox, count_wake, &wakes);
    mailbox_post_batch(&mailbox, &batch);
    assert_int_equal(wakes, 0);
    mail_batch_add(&batch, &mail);
    mailbox_post_batch(&mailbox, &batch);
    assert_int_equal(take_types(&mailbox), 7);
    mailbox_post_batch(&mailbox, &batch);
    assert_null(mailbox_take(&mailbox));
    assert_int_equal(wakes, 1);
}

/* ---- several producers ---- */

#define PRODUCERS  4
#define EACH       20000
#define BATCH_SIZE 5

struct letter {
    struct mail mail; /* type: the producer */
    unsigned number;
};

struct post_office {
    struct mailbox mailbox;
    sem_t woken;
    _Atomic unsigned wakes;
};

struct producer {
    pthread_t thread;
    struct post_office *office;
    struct letter *letters;
    unsigned index;
    bool in_batches;
};

static void ring(void *arg) {
    struct post_office *office = arg;
    atomic_fetch_add(&office->wakes, 1);
    sem_post(&office->woken);
}

static void *produce(void *arg) {
    struct producer *producer = arg;
    struct mail_batch batch = {0};
    for (unsigned n = 0; n < EACH; n++) {
        struct letter *letter = &producer->letters[n];
        *letter = (struct letter){.mail.type = producer->index, .number = n};
        if (!producer->in_batches) {
            mailbox_post(&producer->office->mailbox, &letter->mail);
            continue;
        }
        mail_batch_add(&batch, &letter->mail);
        if (n % BATCH_SIZE == BATCH_SIZE - 1)
            mailbox_post_batch(&producer->office->mailbox, &batch);
    }
    return NULL;
}

/*
 * Takes until everything has come, and checks the order of each producer's letters. Returns how often there was
 * something to take.
 */
static unsigned consume(struct post_office *office) {
    unsigned next[PRODUCERS] = {0};
    unsigned takes = 0;
    for (unsigned received = 0; received < PRODUCERS * EACH;) {
        sem_wait(&office->woken);
        struct mail *mail = mailbox_take(&office->mailbox);
        takes += mail != NULL;
        for (; mail; mail = mail->next, received++) {
            assert_in_range(mail->type, 0, PRODUCERS - 1);
            assert_int_equal(((struct letter *)mail)->number, next[mail->type]);
            next[mail->type]++;
        }
    }
    return takes;
}

/* The consumer sleeps until it is woken, so a lost wake-up would end this test as a hang. */
static void producers_lose_nothing_keep_their_order_and_wake_once_a_batch(void **state) {
    (void)state;
    struct post_office office = {.wakes = 0};
    struct producer producers[PRODUCERS];
    assert_int_equal(sem_init(&office.woken, 0, 0), 0);
    mailbox_init(&office.mailbox, ring, &office);
    for (unsigned n = 0; n < PRODUCERS; n++) {
        struct letter *letters = calloc(EACH, sizeof *letters);
        assert_non_null(letters);
        producers[n] = (struct producer){.office = &office, .letters = letters, .index = n, .in_batches = n % 2 == 1};
        assert_int_equal(pthread_create(&producers[n].thread, NULL, produce, &producers[n]), 0);
    }
    unsigned takes = consume(&office);
    for (unsigned n = 0; n < PRODUCERS; n++) {
        pthread_join(producers[n].thread, NULL);
        free(producers[n].letters);
    }
    assert_int_equal(atomic_load(&office.wakes), takes);
    assert_null(mailbox_take(&office.mailbox));
    sem_destroy(&office.woken);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_is_taken_oldest_first),
        cmocka_unit_test(only_the_post_that_finds_the_box_empty_wakes),
        cmocka_unit_test(batch_keeps_its_order_behind_what_was_posted_before),
        cmocka_unit_test(posted_batch_is_empty_and_an_empty_one_does_nothing),
        cmocka_unit_test(producers_lose_nothing_keep_their_order_and_wake_once_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
