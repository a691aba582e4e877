/*
 * The store: runs that were, in a folder of their own (.mux beside the sources). The routed stream
 * of a run is the truth, one file that is only appended to: runs/TIME-UUID.subunit. index.sqlite
 * says what is in these files and can be made anew from them.
 *
 * One process writes a run; others may write other runs at the same time, and read. Calls block: on
 * the disk, and for at most STORE_BUSY_MS on another writer. An error is one sentence in `why`.
 */
#ifndef TOOLS_STORE_STORE_H
#define TOOLS_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#define STORE_WHY_BYTES 512

/* How long one writer waits for another: many times what a batch takes. */
#define STORE_BUSY_MS 10000

/* A run's name, with NUL: people use its first digits. */
#define STORE_UUID_BYTES 37

#define STORE_FOLDER ".mux"

/* Of the path to it. */
#define STORE_PATH_BYTES 4096

struct store;

enum store_access {
    STORE_READ,
    STORE_WRITE, /* makes what is not there */
};

/* NULL with a sentence: it is not there, not to be read, damaged, or of a newer version. */
struct store *store_open(const char *folder, enum store_access access, char why[STORE_WHY_BYTES]);

/* NULL is fine. */
void store_close(struct store *store);

struct store_run {
    int64_t id;       /* in the index */
    int64_t begun_us; /* since 1970; in the file's name, so that the names' order is that of time */
    char uuid[STORE_UUID_BYTES];
};

/* How a run went, as who ran it says: only that one knows what was announced and did not run. */
enum store_verdict {
    STORE_VERDICT_NONE,   /* nobody says: it was loaded */
    STORE_VERDICT_UNSAID, /* who ran it goes on, or was killed before it could say it */
    STORE_VERDICT_PASSED,
    STORE_VERDICT_FAILED,
    STORE_VERDICT_INCOMPLETE,     /* announced tests never ran */
    STORE_VERDICT_NOTHING,        /* no test ran */
    STORE_VERDICT_INFRASTRUCTURE, /* what was to run the tests failed */
    STORE_VERDICT_INTERRUPTED,    /* somebody ended it early */
    STORE_VERDICTS,
};

/* Of a run whose owner did not say with which exit status it ends. */
#define STORE_NO_EXIT (-1)

/* "passed", ... "nothing", "infrastructure", "interrupted"; NULL of the first two. Static. */
const char *store_verdict_word(enum store_verdict verdict);

/*
 * A new run and its file, which is empty: the owner of the run appends to it. `source` says what
 * was run, for people. Returns the file's descriptor, or -1. Who has that open owns the run: it
 * closes it when the index has all of it. Of a run that nobody owns store_recover() reads the rest.
 */
int store_begin(struct store *store, const char *source, struct store_run *run,
                char why[STORE_WHY_BYTES]);

/*
 * The same, of a run that has a name (run->uuid) elsewhere: it is refused when the store has it.
 * run->begun_us: when it began; 0: now.
 */
int store_begin_named(struct store *store, const char *source, struct store_run *run,
                      char why[STORE_WHY_BYTES]);

/*
 * The run that people mean: "last", "" (the same), "last-1" or "last~1" (the one before), its
 * number, or the beginning of its UUID.
 */
bool store_find(struct store *store, const char *name, struct store_run *run,
                char why[STORE_WHY_BYTES]);

/* Opens the run's file for reading. -1: why. */
int store_open_stream(struct store *store, const struct store_run *run, char why[STORE_WHY_BYTES]);

/*
 * Reads into the index what its owners, who were killed, have left out: runs end with their files.
 * Runs whose owner lives are let be.
 */
bool store_recover(struct store *store, char why[STORE_WHY_BYTES]);

/*
 * A new index of all files that are there; the old one is kept beside it as index.sqlite.old. It is
 * refused while a run is written.
 */
bool store_rebuild(const char *folder, char why[STORE_WHY_BYTES]);

/* Says what SQLite said. Returns false. */
bool store_failed(const struct store *store, const char *operation, char why[STORE_WHY_BYTES]);

#endif
