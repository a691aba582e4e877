/* Runs a fuzzer on the named files without libFuzzer, for any compiler. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX_BYTES 1048576 /* larger than any input of a fuzzer */

static bool replay(const char *path) {
    static uint8_t bytes[INPUT_MAX_BYTES];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return false;
    }
    size_t len = fread(bytes, 1, sizeof bytes, file);
    bool fine = feof(file) && !ferror(file);
    fclose(file);
    if (!fine) {
        fprintf(stderr, "%s: could not be read whole\n", path);
        return false;
    }
    uint8_t *copy = copy_of(mux_span(bytes, len));
    printf("%s\n", path);
    fflush(stdout); /* the last line names the input that stops the program */
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    return true;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE...\n", argv[0]);
        return EXIT_FAILURE;
    }
    for (int i = 1; i < argc; i++)
        if (!replay(argv[i]))
            return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
