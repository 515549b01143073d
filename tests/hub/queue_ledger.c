/* The ledger of letters; see queue_ledger.h. */
#include "queue_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const destinations[] = {"/queue/a",      "/queue/b",      "/queue/c", "/queue/a.dead",
                                           "/queue/b.dead", "/queue/c.dead", "/topic/t"};

const char *ledger_destination(unsigned place) {
    return destinations[place];
}

static bool is_dead_letters(unsigned place) {
    return place >= LEDGER_QUEUES && place < LEDGER_PLACES;
}

/* ---- sending ---- */

unsigned ledger_send(struct ledger *ledger, unsigned sender, unsigned place, unsigned deal) {
    unsigned number = ledger->letter_count++;
    assert_true(number < LEDGER_LETTERS);
    ledger->letters[number] = (struct letter){.state = deal > 0 ? LETTER_OPEN : LETTER_SENT,
                                              .sender = sender,
                                              .place = place,
                                              .deal = deal,
                                              .order = deal > 0 ? 0 : ++ledger->orders,
                                              .seen_at = place};
    return number;
}

unsigned ledger_begin(struct ledger *ledger, unsigned connection) {
    unsigned number = ledger->deal_count++;
    assert_true(number < LEDGER_DEALS);
    ledger->deals[number] = (struct deal){.connection = connection};
    return number;
}

void ledger_claim(struct ledger *ledger, unsigned number, const struct claim *claim) {
    struct deal *deal = &ledger->deals[number];
    assert_true(deal->claim_count < LEDGER_CLAIMS);
    deal->claims[deal->claim_count++] = *claim;
}

static void set_letters(struct ledger *ledger, unsigned deal, enum letter_state state) {
    for (unsigned n = 0; n < ledger->letter_count; n++)
        if (ledger->letters[n].deal == deal + 1)
            ledger->letters[n].state = state;
}

void ledger_commit(struct ledger *ledger, unsigned number) {
    struct deal *deal = &ledger->deals[number];
    deal->ticket = ++ledger->tickets;
    set_letters(ledger, number, LETTER_SENT);
    for (unsigned n = 0; n < ledger->letter_count; n++)
        if (ledger->letters[n].deal == number + 1)
            ledger->letters[n].order = ++ledger->orders;
    for (unsigned n = 0; n < deal->claim_count; n++) {
        const struct claim *claim = &deal->claims[n];
        deal->is_void = deal->is_void || ledger->letters[claim->letter].lost;
        if (claim->settles)
            ledger_settle(ledger, claim->letter, deal->connection, deal->ticket);
        else if (claim->rejects)
            ledger_reject(ledger, claim->letter, claim->place, deal->connection, deal->ticket);
        else
            ledger_give_back(ledger, claim->letter);
    }
}

void ledger_abort(struct ledger *ledger, unsigned deal) {
    set_letters(ledger, deal, LETTER_NEVER);
    ledger->deals[deal].claim_count = 0;
}

/* ---- receipts ---- */

void ledger_taken(struct ledger *ledger, unsigned letter) {
    assert_true(letter < ledger->letter_count && ledger->letters[letter].state == LETTER_SENT);
    ledger->letters[letter].state = LETTER_TAKEN;
}

void ledger_carried_out(struct ledger *ledger, unsigned ticket) {
    for (unsigned n = 0; n < ledger->letter_count; n++)
        if (ledger->letters[n].ticket == ticket && ledger->letters[n].settled == SETTLED_PERHAPS)
            ledger->letters[n].settled = SETTLED_SURELY;
}

void ledger_committed(struct ledger *ledger, unsigned deal) {
    assert_true(deal < ledger->deal_count && ledger->deals[deal].ticket > 0);
    if (ledger->deals[deal].is_void)
        fail_msg("transaction %u was done, though what it settles was lost before", deal);
    ledger->deals[deal].is_done = true;
    set_letters(ledger, deal, LETTER_TAKEN);
    ledger_carried_out(ledger, ledger->deals[deal].ticket);
}

/* What it was to settle goes back. */
static void undo(struct ledger *ledger, unsigned ticket) {
    for (unsigned n = 0; n < ledger->letter_count; n++) {
        struct letter *letter = &ledger->letters[n];
        if (letter->ticket != ticket || letter->settled == SETTLED_NOT)
            continue;
        letter->doubtful = !ledger->sound;
        if (ledger->sound)
            letter->settled = SETTLED_NOT;
    }
}

static bool is_about_limited(const struct ledger *ledger, bool deal, unsigned number) {
    bool about = false;
    for (unsigned n = 0; n < ledger->letter_count; n++)
        if (ledger->letters[n].place == LEDGER_LIMITED && (deal ? ledger->letters[n].deal == number + 1 : n == number))
            about = true;
    return about;
}

/* Why it may be refused. */
static bool may_refuse(const struct ledger *ledger, bool deal, unsigned number, const char *why) {
    if (strstr(why, "the queue is full"))
        return is_about_limited(ledger, deal, number);
    if (strstr(why, "has gone to another consumer"))
        return deal && !ledger->sound;
    return strstr(why, "the queue can't be changed") && ledger->filled;
}

void ledger_refused(struct ledger *ledger, bool deal, unsigned number, const char *why) {
    if (!may_refuse(ledger, deal, number, why))
        fail_msg("%s %u was refused: %s", deal ? "transaction" : "letter", number, why);
    if (!deal) {
        assert_true(number < ledger->letter_count && ledger->letters[number].state == LETTER_SENT);
        ledger->letters[number].state = LETTER_REFUSED;
        return;
    }
    assert_true(number < ledger->deal_count && ledger->deals[number].ticket > 0);
    set_letters(ledger, number, LETTER_REFUSED);
    undo(ledger, ledger->deals[number].ticket);
}

/* ---- getting ---- */

static void fail_about(const struct ledger *ledger, const struct sighting *sighting, const char *what) {
    const struct ledger_subscription *subscription = &ledger->subscriptions[sighting->subscription];
    fail_msg("letter %u to %s %s: it came to subscription %u of %s, delivery %u", sighting->letter,
             ledger_destination(ledger->letters[sighting->letter].place), what, sighting->subscription,
             ledger_destination(subscription->place), sighting->deliveries);
}

static void check_may_come(const struct ledger *ledger, unsigned connection, const struct sighting *sighting) {
    const struct ledger_subscription *subscription = &ledger->subscriptions[sighting->subscription];
    const struct letter *letter = &ledger->letters[sighting->letter];
    if (subscription->connection != connection || subscription->gone)
        fail_about(ledger, sighting, "is for nobody");
    if (letter->state == LETTER_OPEN || letter->state == LETTER_NEVER)
        fail_about(ledger, sighting, "was not committed");
    if (letter->state == LETTER_REFUSED && ledger->sound)
        fail_about(ledger, sighting, "was refused");
    if (subscription->place != letter->place &&
        (letter->place >= LEDGER_QUEUES || subscription->place != letter->place + LEDGER_QUEUES))
        fail_about(ledger, sighting, "is of another queue");
}

/* Why a letter may be dead, as far as that can be known. */
static void check_reason(const struct ledger *ledger, const struct sighting *sighting) {
    const struct letter *letter = &ledger->letters[sighting->letter];
    bool worn = bytes_equal(sighting->dead_reason, BYTES("max-deliveries"));
    unsigned deliveries = letter->seen_at == letter->place ? letter->deliveries : LEDGER_DELIVERIES;
    if (!bytes_equal(sighting->dead_from, bytes_of(ledger_destination(letter->place))))
        fail_about(ledger, sighting, "is dead from another queue");
    if (worn ? letter->place != LEDGER_WEARING : !bytes_equal(sighting->dead_reason, BYTES("rejected")))
        fail_about(ledger, sighting, "is dead without a reason");
    if (ledger->sound && !worn && !letter->rejected)
        fail_about(ledger, sighting, "is dead, and nobody has rejected it");
    if (ledger->exact && worn && deliveries != LEDGER_DELIVERIES)
        fail_about(ledger, sighting, "is dead too early, or too late");
}

static void check_dead(const struct ledger *ledger, const struct sighting *sighting) {
    bool is_home = ledger->subscriptions[sighting->subscription].place == ledger->letters[sighting->letter].place;
    if (!is_home)
        check_reason(ledger, sighting);
    else if (sighting->dead_from.data || sighting->dead_reason.data)
        fail_about(ledger, sighting, "seems to be dead");
}

static void check_once(const struct ledger *ledger, const struct sighting *sighting) {
    const struct letter *letter = &ledger->letters[sighting->letter];
    if (sighting->redelivered != (sighting->deliveries > 1))
        fail_about(ledger, sighting, "does not say how often it was delivered");
    if (!ledger->sound)
        return;
    if (letter->settled == SETTLED_SURELY || (letter->settled == SETTLED_PERHAPS && !letter->doubtful))
        fail_about(ledger, sighting, "was settled");
    if (letter->holder > 0)
        fail_about(ledger, sighting, "is somebody else's");
    if (sighting->deliveries <= letter->deliveries)
        fail_about(ledger, sighting, "was delivered more often");
    if (ledger->exact && sighting->deliveries != letter->deliveries + 1)
        fail_about(ledger, sighting, "was not delivered so often");
}

static void check_order(const struct ledger *ledger, const struct sighting *sighting) {
    const struct ledger_subscription *subscription = &ledger->subscriptions[sighting->subscription];
    const struct letter *letter = &ledger->letters[sighting->letter];
    if (ledger->orderly && ledger->exact && letter->order <= subscription->newest_of[letter->sender])
        fail_about(ledger, sighting, "comes behind a later one");
}

static void saw_on_topic(struct ledger *ledger, const struct sighting *sighting) {
    bool *has = &ledger->subscriptions[sighting->subscription].has[sighting->letter];
    if (*has)
        fail_about(ledger, sighting, "came before");
    *has = true;
}

void ledger_saw(struct ledger *ledger, unsigned connection, const struct sighting *sighting) {
    assert_true(sighting->letter < ledger->letter_count && sighting->subscription < ledger->subscription_count);
    struct ledger_subscription *subscription = &ledger->subscriptions[sighting->subscription];
    struct letter *letter = &ledger->letters[sighting->letter];
    check_may_come(ledger, connection, sighting);
    if (letter->place == LEDGER_TOPIC) {
        saw_on_topic(ledger, sighting);
        return;
    }
    check_dead(ledger, sighting);
    if (letter->seen_at != subscription->place)
        letter->deliveries = 0;
    letter->seen = true;
    letter->seen_at = subscription->place;
    check_once(ledger, sighting);
    check_order(ledger, sighting);
    subscription->newest_of[letter->sender] = letter->order;
    letter->deliveries = sighting->deliveries;
    if (ledger->sound)
        letter->settled = SETTLED_NOT; /* else it may be one more of what was settled */
    letter->doubtful = letter->lost = false;
    letter->holder = subscription->holds ? sighting->subscription + 1 : 0;
}

void ledger_settle(struct ledger *ledger, unsigned number, unsigned connection, unsigned ticket) {
    struct letter *letter = &ledger->letters[number];
    letter->holder = 0;
    letter->settled = SETTLED_PERHAPS;
    letter->settler = connection;
    letter->ticket = ticket;
}

void ledger_reject(struct ledger *ledger, unsigned number, unsigned place, unsigned connection, unsigned ticket) {
    struct letter *letter = &ledger->letters[number];
    letter->holder = 0;
    letter->rejected = true;
    if (letter->place == LEDGER_LIMITED)
        letter->excused = true; /* its dead-letter queue may be full */
    if (is_dead_letters(place))
        ledger_settle(ledger, number, connection, ticket);
}

void ledger_give_back(struct ledger *ledger, unsigned letter) {
    ledger->letters[letter].holder = 0;
}

static bool is_claimed(const struct ledger *ledger, unsigned letter) {
    for (unsigned n = 0; n < ledger->deal_count; n++) {
        const struct deal *deal = &ledger->deals[n];
        for (unsigned c = 0; deal->ticket == 0 && c < deal->claim_count; c++)
            if (deal->claims[c].letter == letter)
                return true;
    }
    return false;
}

void ledger_unsubscribe(struct ledger *ledger, unsigned number) {
    ledger->subscriptions[number].holds = false;
    for (unsigned n = 0; n < ledger->letter_count; n++)
        if (ledger->letters[n].holder == number + 1 && !is_claimed(ledger, n))
            ledger->letters[n].holder = 0;
}

/* ---- what happens to all ---- */

void ledger_doubt(struct ledger *ledger, unsigned connection) {
    for (unsigned n = 0; n < ledger->letter_count; n++)
        if (ledger->letters[n].settled == SETTLED_PERHAPS && ledger->letters[n].settler == connection)
            ledger->letters[n].doubtful = true;
}

/* A COMMIT may be refused. */
static void doubt_deal(struct ledger *ledger, const struct deal *deal) {
    for (unsigned n = 0; n < ledger->letter_count; n++)
        if (ledger->letters[n].settled == SETTLED_PERHAPS && ledger->letters[n].ticket == deal->ticket)
            ledger->letters[n].doubtful = true;
}

void ledger_disconnect(struct ledger *ledger, unsigned connection, bool loses) {
    if (loses)
        ledger_doubt(ledger, connection);
    for (unsigned n = 0; n < ledger->letter_count; n++) {
        struct letter *letter = &ledger->letters[n];
        if (letter->holder > 0 && ledger->subscriptions[letter->holder - 1].connection == connection)
            letter->holder = 0;
    }
    for (unsigned n = 0; n < ledger->deal_count; n++) {
        const struct deal *deal = &ledger->deals[n];
        if (deal->connection == connection && deal->ticket == 0)
            ledger_abort(ledger, n);
        else if (deal->connection == connection && !deal->is_done)
            doubt_deal(ledger, deal);
    }
    for (unsigned n = 0; n < ledger->subscription_count; n++)
        if (ledger->subscriptions[n].connection == connection)
            ledger->subscriptions[n].holds = false;
}

void ledger_lose_all(struct ledger *ledger) {
    for (unsigned n = 0; n < ledger->letter_count; n++) {
        struct letter *letter = &ledger->letters[n];
        letter->excused = letter->excused || letter->state != LETTER_OPEN;
        letter->lost = letter->holder > 0;
    }
}

void ledger_rest(struct ledger *ledger) {
    for (unsigned n = 0; n < ledger->letter_count; n++)
        if (ledger->letters[n].settled == SETTLED_PERHAPS && !ledger->letters[n].doubtful)
            ledger->letters[n].settled = SETTLED_SURELY;
}

/* ---- the end ---- */

static void check_letter(const struct ledger *ledger, unsigned number) {
    const struct letter *letter = &ledger->letters[number];
    if (letter->place == LEDGER_TOPIC || letter->state != LETTER_TAKEN || letter->excused)
        return;
    if (letter->settled == SETTLED_NOT)
        fail_msg("letter %u to %s was accepted, and %s", number, ledger_destination(letter->place),
                 letter->seen ? "went without being settled" : "never came");
}

static void check_deal(const struct ledger *ledger, unsigned deal) {
    int seen = -1;
    for (unsigned n = 0; n < ledger->letter_count; n++) {
        const struct letter *letter = &ledger->letters[n];
        if (letter->deal != deal + 1 || letter->place == LEDGER_TOPIC || letter->excused)
            continue;
        if (seen >= 0 && letter->seen != (seen > 0))
            fail_msg("transaction %u was done in part: letter %u %s", deal, n, letter->seen ? "came" : "did not come");
        seen = letter->seen;
    }
}

void ledger_check_all(const struct ledger *ledger) {
    for (unsigned n = 0; n < ledger->letter_count; n++)
        check_letter(ledger, n);
    for (unsigned n = 0; n < ledger->deal_count; n++)
        check_deal(ledger, n);
}

void ledger_check_topic(const struct ledger *ledger) {
    for (unsigned s = 0; s < ledger->subscription_count; s++) {
        const struct ledger_subscription *subscription = &ledger->subscriptions[s];
        for (unsigned n = 0; n < ledger->letter_count && subscription->place == LEDGER_TOPIC; n++) {
            const struct letter *letter = &ledger->letters[n];
            bool wanted = subscription->holds && subscription->live > 0 && subscription->live <= letter->order;
            if (letter->place == LEDGER_TOPIC && letter->state == LETTER_TAKEN && wanted && !subscription->has[n])
                fail_msg("letter %u of transaction %u did not reach subscription %u of the topic", n, letter->deal - 1,
                         s);
        }
    }
}
