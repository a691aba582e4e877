#include "tools/mux/show_next.h"

#include "tools/mux/store_words.h"
#include "tools/store/command.h"
#include "tools/store/live.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* mux run needs no command where the last one ran; elsewhere the line says where that is. */
static void show_again(const char *folder, const char *options) {
    char here[PATH_MAX];
    struct store_command command;
    if (!store_command_read(folder, &command))
        return;
    bool is_here = getcwd(here, sizeof here) && strcmp(here, command.directory) == 0;
    fputs(is_here ? "again: " : "again, in ", stdout);
    if (!is_here)
        store_words_text(command.directory);
    printf("%smux run%s        ", is_here ? "" : ": ", options);
    store_command_free(&command);
}

void show_next(const char *folder, const struct store_run_row *row) {
    struct store_live live;
    const char *uuid = row->run.uuid, *outcome = store_words_outcome(row);
    if (store_live_find(folder, uuid, &live) == 1) {
        printf("it goes on: mux attach %.*s        its end: mux wait %.*s\n",
               STORE_WORDS_RUN_DIGITS, uuid, STORE_WORDS_RUN_DIGITS, uuid);
        return;
    }
    bool is_incomplete = strcmp(outcome, "incomplete") == 0;
    if (store_run_bad(row) || is_incomplete) {
        show_again(folder, " --failing");
        printf("texts: mux show %.*s --failures\n", STORE_WORDS_RUN_DIGITS, uuid);
    } else {
        show_again(folder, "");
        puts("slowest: mux slowest");
    }
    if (is_incomplete)
        printf("never ran: mux show %.*s --never-ran\n", STORE_WORDS_RUN_DIGITS, uuid);
    puts("earlier: mux runs");
}
