/* Where the store is, for the subcommands that use it, and the options that they share. */
#ifndef TOOLS_MUX_STORE_PLACE_H
#define TOOLS_MUX_STORE_PLACE_H

#include "tools/base/option.h"
#include "tools/store/store.h"

#include <stdio.h>

/* The first member of such a subcommand's options. */
struct store_place {
    const char *folder; /* --store; NULL: the nearest .mux, from here upwards */
    bool json;          /* --json: an object a line */
    bool no_pager;
};

bool store_place_set_folder(const struct option_row *row, void *place, const char *value);
bool store_place_set_json(const struct option_row *row, void *place, const char *value);
bool store_place_set_no_pager(const struct option_row *row, void *place, const char *value);

#define STORE_PLACE_FOLDER_ROW                                                           \
    {                                                                                    \
        "store", "DIR",                                                                  \
            .set = store_place_set_folder,                                               \
            .help = "the store's folder; without it the nearest .mux, from here upwards" \
    }
#define STORE_PLACE_JSON_ROW \
    { "json", .set = store_place_set_json, .help = "an object a line, in place of text for people" }

#define STORE_PLACE_PAGER_ROW \
    { "no-pager", .set = store_place_set_no_pager, .help = "all at once, not page by page" }

/* For people, at a terminal: what comes now goes through a pager. */
void store_place_page(const struct store_place *place);

/* NULL after a sentence on stderr. To write: makes .mux here if there is none. */
struct store *store_place_open(const struct store_place *place, const char *program,
                               enum store_access access);

/* Opens the store to read and finds the run. NULL after a sentence on stderr. */
struct store *store_place_find(const struct store_place *place, const char *program,
                               const char *name, struct store_run *run);

/* The folder alone, as store_place_open() finds it. */
void store_place_folder(const struct store_place *place, char *out, size_t out_bytes);

/* "mux show: WHY" on stderr. Returns EXIT_FAILED. */
int store_place_failed(const char *program, const char *why);

#endif
