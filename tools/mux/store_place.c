#include "tools/mux/store_place.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/pager.h"
#include "tools/mux/store_folder.h"

bool store_place_set_folder(const struct option_row *row, void *place, const char *value) {
    (void)row;
    ((struct store_place *)place)->folder = value;
    return true;
}

bool store_place_set_json(const struct option_row *row, void *place, const char *value) {
    (void)row, (void)value;
    ((struct store_place *)place)->json = true;
    return true;
}

bool store_place_set_no_pager(const struct option_row *row, void *place, const char *value) {
    (void)row, (void)value;
    ((struct store_place *)place)->no_pager = true;
    return true;
}

void store_place_page(const struct store_place *place) {
    if (!place->json && !place->no_pager)
        pager_start();
}

void store_place_folder(const struct store_place *place, char *out, size_t out_bytes) {
    if (place->folder || !store_folder_find(out, out_bytes))
        snprintf(out, out_bytes, "%s", place->folder ? place->folder : STORE_FOLDER);
}

int store_place_failed(const char *program, const char *why) {
    text_complain("%s: %s", program, why);
    return EXIT_FAILED;
}

struct store *store_place_open(const struct store_place *place, const char *program,
                               enum store_access access) {
    char folder[PATH_MAX], why[STORE_WHY_BYTES];
    store_place_folder(place, folder, sizeof folder);
    struct store *store = store_open(folder, access, why);
    if (!store)
        store_place_failed(program, why);
    return store;
}

struct store *store_place_find(const struct store_place *place, const char *program,
                               const char *name, struct store_run *run) {
    char why[STORE_WHY_BYTES];
    struct store *store = store_place_open(place, program, STORE_READ);
    if (!store || store_find(store, name, run, why))
        return store;
    store_place_failed(program, why);
    store_close(store);
    return NULL;
}
