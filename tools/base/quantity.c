#include "tools/base/quantity.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define QUANTITY_END 0x1p63

struct unit {
    const char *name;
    double factor;
};

#define POWER(letter, factor)                 \
    {letter, factor}, {letter "B", factor}, { \
        letter "iB", factor                   \
    }

static const struct unit sizes[] = {
    {"", 1},
    {"B", 1},
    POWER("K", 0x1p10),
    POWER("M", 0x1p20),
    POWER("G", 0x1p30),
    POWER("T", 0x1p40),
};

static const struct unit times[] = {
    {"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"m", 60e9}, {"min", 60e9}, {"h", 3600e9},
};

/* strtod() would also read hexadecimal numbers, exponents, signs and "inf". */
static bool parse(const char *text, const struct unit *units, size_t count, uint64_t *out) {
    size_t len = strspn(text, "0123456789");
    size_t fraction = text[len] == '.' ? 1 + strspn(text + len + 1, "0123456789") : 0;
    if (len == 0 || fraction == 1)
        return false;
    const char *name = text + len + fraction;
    name += strspn(name, " ");
    for (size_t i = 0; i < count; i++) {
        double value = strtod(text, NULL) * units[i].factor;
        if (strcasecmp(name, units[i].name) != 0 || value >= QUANTITY_END)
            continue;
        *out = (uint64_t)value;
        return true;
    }
    return false;
}

bool quantity_bytes(const char *text, uint64_t *bytes) {
    return parse(text, sizes, sizeof sizes / sizeof *sizes, bytes);
}

bool quantity_ns(const char *text, uint64_t *ns) {
    return parse(text, times, sizeof times / sizeof *times, ns);
}
