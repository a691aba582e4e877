/* Where the store is that is nearest. */
#ifndef TOOLS_MUX_STORE_FOLDER_H
#define TOOLS_MUX_STORE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* The path of the nearest .mux, from here upwards, as git looks for its folder. False: none. */
bool store_folder_find(char *out, size_t out_bytes);

#endif
