#include "tools/node/dialer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 512

void dialer_init(struct dialer *dialer, const struct dialer_config *config) {
    dialer->config = *config;
}

static bool same(const struct transport_address *a, const struct transport_address *b) {
    return a->via == b->via && a->len == b->len && memcmp(&a->any, &b->any, a->len) == 0 &&
           strcmp(a->device, b->device) == 0;
}

static bool is_home(const struct dialer *dialer, unsigned index) {
    return same(&dialer->addresses[index].address, &dialer->home);
}

/*
 * ---- the order ----
 */

/*
 * The first that is left, of the lowest rank, and there of another family than the one before if
 * there is one. `count`: none is left.
 */
static unsigned next_in_turn(const struct transport_address *addresses, unsigned count,
                             const bool *used, int family_before) {
    unsigned best = count;
    for (unsigned i = 0; i < count; i++) {
        if (used[i])
            continue;
        bool is_first = best == count || addresses[i].rank < addresses[best].rank;
        bool is_turn = !is_first && addresses[i].rank == addresses[best].rank &&
                       addresses[best].any.sa_family == family_before &&
                       addresses[i].any.sa_family != family_before;
        best = is_first || is_turn ? i : best;
    }
    return best;
}

static unsigned find(const struct transport_address *addresses, unsigned count,
                     const struct transport_address *address) {
    unsigned i = 0;
    while (i < count && !same(&addresses[i], address))
        i++;
    return i;
}

/* What was told of an address is known in the next round, too. */
static struct dialer_address entry_of(const struct dialer_address *before, unsigned count,
                                      const struct transport_address *address) {
    struct dialer_address entry = {.address = *address};
    for (unsigned i = 0; i < count; i++)
        if (same(&before[i].address, address))
            entry = before[i];
    entry.choice = DIALER_UNTRIED;
    entry.begun_ns = 0;
    return entry;
}

static void order(struct dialer *dialer, const struct transport_address *addresses,
                  unsigned count) {
    struct dialer_address before[DIALER_ADDRESSES_MAX];
    bool used[DIALER_ADDRESSES_MAX + 1] = {false};
    unsigned before_count = dialer->count;
    int family = AF_UNSPEC;
    unsigned last = find(addresses, count, &dialer->shunned);
    unsigned next = find(addresses, count, &dialer->home);
    memcpy(before, dialer->addresses, before_count * sizeof *before);
    used[last] = true;
    for (unsigned i = 0; i < count; i++) {
        if (next == count)
            next = next_in_turn(addresses, count, used, family);
        if (next == count)
            next = last;
        dialer->addresses[i] = entry_of(before, before_count, &addresses[next]);
        used[next] = true;
        family = addresses[next].any.sa_family;
        next = count;
    }
    dialer->count = count;
    dialer->shunned.len = 0;
}

/*
 * ---- attempts ----
 */

static unsigned under_way(const struct dialer *dialer) {
    unsigned count = 0;
    for (unsigned i = 0; i < DIALER_ATTEMPTS_MAX; i++)
        count += dialer->attempts[i].conn && !dialer->attempts[i].closing;
    return count;
}

static struct dialer_attempt *free_attempt(struct dialer *dialer) {
    for (unsigned i = 0; i < DIALER_ATTEMPTS_MAX; i++)
        if (!dialer->attempts[i].conn)
            return &dialer->attempts[i];
    return NULL;
}

/* The first that was not tried in this round; `count` when there is none. */
static unsigned next_untried(const struct dialer *dialer) {
    unsigned i = 0;
    while (i < dialer->count && dialer->addresses[i].choice != DIALER_UNTRIED)
        i++;
    return i;
}

static void close_attempt(struct dialer_attempt *attempt) {
    if (!attempt->closing)
        transport_close(attempt->conn);
    attempt->closing = true;
}

/* Nobody listens there: not merely that no answer came. */
static bool is_refusal(const struct transport_address *address, int error) {
    return error == ECONNREFUSED || (address->any.sa_family == AF_UNIX && error == ENOENT);
}

static void tell_failed(struct dialer *dialer, struct dialer_address *entry,
                        const struct transport_failure *failure, uint64_t now_ns) {
    char text[ENDPOINT_TEXT_BYTES];
    entry->untold++;
    bool now = entry->told_error != failure->error || now_ns - entry->told_ns >= DIALER_REPEAT_NS;
    unsigned told = now ? entry->untold : 0;
    if (now && entry->told_error != failure->error)
        told = 1;
    if (now) {
        entry->told_error = failure->error;
        entry->told_ns = now_ns;
        entry->untold = 0;
    }
    address_text(&entry->address, text, sizeof text);
    dialer->config.failed(dialer->config.user, text, failure, told);
}

/* The kernel queues no more connects to a unix socket: as if an attempt of TCP's still went on. */
static bool is_busy(const struct dialer *dialer, const struct dialer_address *entry, int error,
                    uint64_t now_ns) {
    return error == EAGAIN && entry->address.any.sa_family == AF_UNIX &&
           now_ns - entry->begun_ns < dialer->config.attempt_most_ns;
}

/* The next address is tried at once. */
static void failed(struct dialer *dialer, unsigned index, const struct transport_failure *failure,
                   uint64_t now_ns) {
    struct dialer_address *entry = &dialer->addresses[index];
    if (is_busy(dialer, entry, failure->error, now_ns)) {
        entry->choice = DIALER_UNTRIED;
        dialer->next_ns = now_ns + DIALER_BUSY_NS;
        return;
    }
    entry->choice = DIALER_GIVEN_UP;
    dialer->next_ns = now_ns;
    if (is_home(dialer, index))
        dialer->home_refused = is_refusal(&entry->address, failure->error);
    tell_failed(dialer, entry, failure, now_ns);
}

static void begin(struct dialer *dialer, struct dialer_attempt *attempt, unsigned index,
                  uint64_t now_ns) {
    struct transport_failure failure = {0};
    const struct dialer_config *config = &dialer->config;
    if (is_home(dialer, index))
        dialer->home_refused = false;
    if (dialer->addresses[index].begun_ns == 0)
        dialer->addresses[index].begun_ns = now_ns;
    struct transport_conn *conn = config->connect(config->user, &dialer->addresses[index].address,
                                                  config->conn_user, &failure);
    if (!conn) {
        failed(dialer, index, &failure, now_ns);
        return;
    }
    dialer->addresses[index].choice = DIALER_TRIED;
    *attempt = (struct dialer_attempt){conn, index, now_ns + config->attempt_most_ns, false};
    dialer->next_ns = now_ns + DIALER_STAGGER_NS;
}

/* Begins those that are due. */
static void begin_next(struct dialer *dialer, uint64_t now_ns) {
    struct dialer_attempt *attempt;
    unsigned index;
    while ((index = next_untried(dialer)) < dialer->count && now_ns >= dialer->next_ns &&
           (attempt = free_attempt(dialer)))
        begin(dialer, attempt, index, now_ns);
}

static void give_up_old(struct dialer *dialer, uint64_t now_ns) {
    const struct transport_failure silent = {ETIMEDOUT, "connect"};
    for (unsigned i = 0; i < DIALER_ATTEMPTS_MAX; i++) {
        struct dialer_attempt *attempt = &dialer->attempts[i];
        if (!attempt->conn || attempt->closing || now_ns < attempt->until_ns)
            continue;
        close_attempt(attempt);
        failed(dialer, attempt->index, &silent, now_ns);
    }
}

/* What is tried, has been and will be: all of the round. */
static void tell_trying(struct dialer *dialer) {
    char text[TEXT_BYTES] = "";
    size_t len = 0;
    for (unsigned i = 0; i < dialer->count; i++) {
        char address[ENDPOINT_TEXT_BYTES];
        address_text(&dialer->addresses[i].address, address, sizeof address);
        if (len + strlen(address) + sizeof ", ..." > sizeof text) {
            snprintf(text + len, sizeof text - len, "...");
            break;
        }
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", address,
                                i + 1 < dialer->count ? ", " : "");
    }
    dialer->told_trying = true;
    dialer->config.trying(dialer->config.user, text);
}

/*
 * ---- a round ----
 */

void dialer_start(struct dialer *dialer, const struct transport_address *addresses, unsigned count,
                  uint64_t now_ns) {
    assert(count > 0 && count <= DIALER_ADDRESSES_MAX);
    assert(dialer->state != DIALER_TRYING && dialer->state != DIALER_CONNECTED);
    order(dialer, addresses, count);
    dialer->state = DIALER_TRYING;
    dialer->next_ns = now_ns;
    dialer->tell_ns = now_ns + DIALER_STAGGER_NS;
    dialer_run(dialer, now_ns);
}

void dialer_run(struct dialer *dialer, uint64_t now_ns) {
    if (dialer->state != DIALER_TRYING)
        return;
    give_up_old(dialer, now_ns);
    begin_next(dialer, now_ns);
    if (next_untried(dialer) == dialer->count && under_way(dialer) == 0)
        dialer->state = DIALER_FAILED;
    else if (!dialer->told_trying && now_ns >= dialer->tell_ns)
        tell_trying(dialer);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

uint64_t dialer_deadline_ns(const struct dialer *dialer) {
    uint64_t deadline_ns = UINT64_MAX;
    bool has_room = false;
    if (dialer->state != DIALER_TRYING)
        return UINT64_MAX;
    for (unsigned i = 0; i < DIALER_ATTEMPTS_MAX; i++) {
        const struct dialer_attempt *attempt = &dialer->attempts[i];
        has_room = has_room || !attempt->conn;
        if (attempt->conn && !attempt->closing)
            deadline_ns = least(deadline_ns, attempt->until_ns);
    }
    if (has_room && next_untried(dialer) < dialer->count)
        deadline_ns = least(deadline_ns, dialer->next_ns);
    return dialer->told_trying ? deadline_ns : least(deadline_ns, dialer->tell_ns);
}

static struct dialer_attempt *attempt_of(struct dialer *dialer, const struct transport_conn *conn) {
    unsigned i = 0;
    while (dialer->attempts[i].conn != conn)
        i++;
    return &dialer->attempts[i];
}

/* The losers may be tried again if the winner is rejected. */
static void won(struct dialer *dialer, struct dialer_attempt *attempt) {
    dialer->winner = attempt->conn;
    dialer->winner_index = attempt->index;
    attempt->conn = NULL;
    dialer->state = DIALER_CONNECTED;
    for (unsigned i = 0; i < DIALER_ATTEMPTS_MAX; i++) {
        struct dialer_attempt *loser = &dialer->attempts[i];
        if (!loser->conn || loser->closing)
            continue;
        dialer->addresses[loser->index].choice = DIALER_UNTRIED;
        close_attempt(loser);
    }
}

/* The one that came through is not yet taken, and lost already. */
static void lost_winner(struct dialer *dialer, const struct transport_event *event,
                        uint64_t now_ns) {
    const struct transport_failure failure = {event->error, event->operation};
    struct dialer_attempt *attempt = free_attempt(dialer);
    assert(attempt); /* it left one */
    *attempt = (struct dialer_attempt){dialer->winner, dialer->winner_index, 0, false};
    close_attempt(attempt);
    dialer->winner = NULL;
    dialer->state = DIALER_TRYING;
    failed(dialer, dialer->winner_index, &failure, now_ns);
}

void dialer_handle(struct dialer *dialer, const struct transport_event *event, uint64_t now_ns) {
    if (event->kind == TRANSPORT_RECEIVED && event->buffer)
        mux_buffer_release(event->buffer);
    if (event->conn == dialer->winner) {
        if (event->kind == TRANSPORT_LOST)
            lost_winner(dialer, event, now_ns);
        return;
    }
    struct dialer_attempt *attempt = attempt_of(dialer, event->conn);
    if (event->kind == TRANSPORT_CLOSED) {
        attempt->conn = NULL;
    } else if (event->kind == TRANSPORT_CONNECTED && !attempt->closing) {
        won(dialer, attempt);
    } else if (event->kind == TRANSPORT_LOST && !attempt->closing) {
        const struct transport_failure failure = {event->error, event->operation};
        close_attempt(attempt);
        failed(dialer, attempt->index, &failure, now_ns);
    }
}

struct transport_conn *dialer_take(struct dialer *dialer, void *conn_user) {
    struct transport_conn *conn = dialer->winner;
    assert(dialer->state == DIALER_CONNECTED);
    conn->user = conn_user;
    dialer->winner = NULL;
    dialer->state = DIALER_IDLE;
    return conn;
}

const struct transport_address *dialer_taken(const struct dialer *dialer) {
    return &dialer->addresses[dialer->winner_index].address;
}

bool dialer_is_home(const struct dialer *dialer) {
    return is_home(dialer, dialer->winner_index);
}

void dialer_worked(struct dialer *dialer) {
    dialer->home = *dialer_taken(dialer);
    dialer->home_refused = false;
    dialer->told_trying = false;
    for (unsigned i = 0; i < dialer->count; i++)
        dialer->addresses[i].told_error = 0;
}

void dialer_shun(struct dialer *dialer) {
    dialer->shunned = *dialer_taken(dialer);
    if (same(&dialer->shunned, &dialer->home))
        dialer->home.len = 0;
}

void dialer_reject(struct dialer *dialer, uint64_t now_ns) {
    assert(dialer->state == DIALER_IDLE);
    dialer->addresses[dialer->winner_index].choice = DIALER_GIVEN_UP;
    dialer->state = DIALER_TRYING;
    dialer->next_ns = now_ns;
    dialer_run(dialer, now_ns);
}

void dialer_stop(struct dialer *dialer) {
    if (dialer->winner) { /* its events go on to come here */
        struct dialer_attempt *attempt = free_attempt(dialer);
        assert(attempt);
        *attempt = (struct dialer_attempt){dialer->winner, dialer->winner_index, 0, false};
        dialer->winner = NULL;
    }
    for (unsigned i = 0; i < DIALER_ATTEMPTS_MAX; i++)
        if (dialer->attempts[i].conn)
            close_attempt(&dialer->attempts[i]);
    dialer->state = DIALER_IDLE;
}

bool dialer_is_quiet(const struct dialer *dialer) {
    bool quiet = !dialer->winner;
    for (unsigned i = 0; i < DIALER_ATTEMPTS_MAX; i++)
        quiet = quiet && !dialer->attempts[i].conn;
    return quiet;
}
