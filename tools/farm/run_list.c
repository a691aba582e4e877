/* The list: a job like any other, whose output says which tests there are. */
#include "tools/base/text.h"
#include "tools/farm/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t add_id(struct run *run, struct mux_span id) {
    uint32_t before = run->ids.count, number = ids_add(&run->ids, id);
    run->repeated += run->ids.count == before;
    if (number == IDS_NONE && !run->has_failed)
        run_fail(run, "there is no memory for so many tests");
    return number;
}

/* Room for all ids in an array by id; what is new is zero. NULL: the run has failed. */
static void *grown(struct run *run, void *all, uint32_t *room, size_t item_bytes) {
    uint32_t more = run->ids.count + run->ids.count / 2;
    char *items = realloc(all, more * item_bytes);
    if (!items) {
        run_fail(run, "out of memory for what the tests' tags say");
        return NULL;
    }
    memset(items + *room * item_bytes, 0, (more - *room) * item_bytes);
    *room = more;
    return items;
}

static void keep_need(struct run *run, uint32_t number, struct need need) {
    if (number >= run->needs_room) {
        struct need *needs = grown(run, run->needs, &run->needs_room, sizeof *needs);
        if (!needs)
            return;
        run->needs = needs;
    }
    run->needs[number].tokens |= need.tokens;
    run->needs[number].exclusive |= need.exclusive;
}

static void keep_group(struct run *run, uint32_t number, struct mux_span group) {
    if (number >= run->group_room) {
        uint32_t *more = grown(run, run->group_of, &run->group_room, sizeof *more);
        if (!more)
            return;
        run->group_of = more;
    }
    run->group_of[number] = ids_add(&run->groups, group) + 1; /* IDS_NONE: it has none */
}

static void add_test(struct run *run, const struct mux_packet *packet) {
    struct need need = {0};
    uint32_t number = add_id(run, packet->test_id);
    needs_of_tags(run->config.needs, packet, &need);
    if (number != IDS_NONE && (need.tokens || need.exclusive))
        keep_need(run, number, need);
    struct mux_span group;
    bool groups = run->config.grouping && run->config.grouping->by == GROUPING_TAG;
    if (number != IDS_NONE && groups && grouping_of_tags(packet, &group))
        keep_group(run, number, group);
}

/* The words of the user's command are the ids. */
static void take_arguments(struct run *run, uint64_t now_ns) {
    for (const char *const *id = strings_list(&run->config.runner->arguments); *id; id++)
        add_id(run, mux_span_text(*id));
    if (!run->has_failed)
        run_plan_make(run, now_ns);
}

/* A suite that cannot say which tests it has: whoever runs it has to, by a list. */
static void take_chosen(struct run *run, uint64_t now_ns) {
    const struct runner *runner = run->config.runner;
    const struct ids *chosen = selection_list(run->config.selection);
    char why[RUN_WHY_BYTES];
    if (!chosen || runner->ids == RUNNER_IDS_ALL) {
        snprintf(why, sizeof why,
                 "%s has no command that lists its tests: %s, or --load-list and --failing say "
                 "which tests run (where its command takes ids)",
                 runner->path,
                 strcmp(runner->name, "testr") == 0
                     ? "give test_command $LISTOPT, and a test_list_option"
                     : "give it \"list\"");
        run_fail(run, why);
        return;
    }
    for (uint32_t i = 0; i < chosen->count; i++)
        add_id(run, ids_text(chosen, i));
    if (!run->has_failed)
        run_plan_make(run, now_ns);
}

/* What a list has brought whose slot was lost: the next one says it all again. */
static void forget(struct run *run) {
    ids_close(&run->ids);
    ids_close(&run->groups);
    ids_open(&run->ids, run->config.hash_key);
    ids_open(&run->groups, run->config.hash_key);
    for (uint32_t i = 0; i < run->needs_room; i++)
        run->needs[i] = (struct need){0};
    for (uint32_t i = 0; i < run->group_room; i++)
        run->group_of[i] = 0;
    run->repeated = 0;
    run->lines_len = run->words_len = 0;
}

void run_list_begin(struct run *run, unsigned slot, uint64_t now_ns) {
    char why[RUNNER_WHY_BYTES];
    struct run_command command = {.how = RUNNER_IDS_ALL};
    if (run->config.runner->lists == RUNNER_LISTS_ARGUMENTS) {
        take_arguments(run, now_ns);
        return;
    }
    if (run->config.runner->lists == RUNNER_LISTS_NOTHING) {
        take_chosen(run, now_ns);
        return;
    }
    forget(run);
    run->slots[slot].began_ns = now_ns;
    run_set_slot(run, slot, RUN_SLOT_LISTING);
    run_set_state(run, RUN_LISTS);
    if (!runner_list_command(run->config.runner, &command.arguments, why))
        run_fail(run, why);
    else if (!run_jobs_send(run, slot, &command))
        run_fail(run, "out of memory for the list's job");
    strings_free(&command.arguments);
}

/*
 * ---- its output ----
 */

static void keep_lines(struct run *run, struct mux_span bytes) {
    size_t room = run->lines_room ? run->lines_room : (size_t)64 << 10;
    while (room - run->lines_len < bytes.len)
        room *= 2;
    char *lines = room == run->lines_room ? run->lines : realloc(run->lines, room);
    if (!lines || room > RUN_LINES_MOST_BYTES) {
        run_fail(run, "the list of tests is larger than 256 MiB");
        return;
    }
    run->lines = lines;
    run->lines_room = room;
    if (bytes.len)
        memcpy(lines + run->lines_len, bytes.data, bytes.len);
    run->lines_len += bytes.len;
}

static bool is_output(const struct mux_packet *packet, const char *name) {
    return mux_span_equal(packet->file_name, mux_span_text(name));
}

void run_list_take(struct run *run, const struct mux_packet *packet) {
    bool is_text = run->config.runner->lists != RUNNER_LISTS_SUBUNIT;
    if (packet->status == MUX_STATUS_EXISTS && packet->test_id.len && !is_text)
        add_test(run, packet);
    if (!packet->file_name.data)
        return;
    if (is_text && !packet->test_id.data && is_output(packet, "stdout"))
        keep_lines(run, packet->file_content);
    else if (!is_output(packet, "muxd.exit"))
        text_keep_tail((struct mux_room){run->words, RUN_WORDS_BYTES}, &run->words_len,
                       packet->file_content);
}

/*
 * ---- its end ----
 */

/* Empty lines are none; what is not UTF-8 is no id that could be told of. */
static void take_line(struct run *run, struct mux_span line) {
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        return;
    if (mux_string_check(line))
        run_say(run, "a line of the list is not UTF-8 text: it is skipped");
    else
        add_id(run, line);
}

static void take_lines(struct run *run) {
    size_t at = 0;
    while (at < run->lines_len) {
        const char *end = memchr(run->lines + at, '\n', run->lines_len - at);
        size_t len = end ? (size_t)(end - (run->lines + at)) : run->lines_len - at;
        take_line(run, mux_span((const uint8_t *)run->lines + at, len));
        at += len + 1;
    }
}

/* What the lister said itself is what helps. */
static void refuse(struct run *run, const struct answer *answer) {
    char why[RUN_WHY_BYTES], fate[ANSWER_FATE_BYTES];
    answer_fate(answer, fate);
    snprintf(why, sizeof why, "the tests cannot be listed: the list command%s %s",
             answer->why ? ":" : "", answer->why ? answer->why : fate);
    if (run->words_len) {
        run_say(run, "the list command said:");
        text_show_tail(mux_span(run->words, run->words_len), 20, run_say_word, run);
    }
    run_fail(run, why);
}

void run_list_ended(struct run *run, const struct answer *answer, uint64_t now_ns) {
    if (run->ending != RUN_GOES_ON) {
        run_set_state(run, RUN_ENDS); /* it was stopped: that is all there is to say */
        return;
    }
    if (answer->state == ANSWER_REFUSED || answer->status != 0) {
        refuse(run, answer);
        return;
    }
    if (run->config.runner->lists == RUNNER_LISTS_LINES)
        take_lines(run);
    if (!run->has_failed)
        run_plan_make(run, now_ns);
}
