#include "transport/mistake.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* "http://build7:7533/": the scheme is not part of an endpoint. */
static bool refuse_url(const struct endpoint *endpoint, const char *host, char *why,
                       size_t why_bytes) {
    return endpoint_refuse(why, why_bytes, "'%s' is a URL, no endpoint: did you mean %.*s?",
                           endpoint->text, (int)strcspn(host, "/"), host);
}

static bool refuse_path(const struct endpoint *endpoint, const char *path, char *why,
                        size_t why_bytes) {
    struct stat status;
    bool exists = stat(path, &status) == 0;
    if (exists && S_ISSOCK(status.st_mode))
        return endpoint_refuse(why, why_bytes, "'%s' is a path: did you mean unix:%s?",
                               endpoint->text, path);
    if (exists && S_ISREG(status.st_mode))
        return endpoint_refuse(why, why_bytes, "'%s' is a path: did you mean file:%s?",
                               endpoint->text, path);
    return endpoint_refuse(why, why_bytes,
                           "'%s' has a slash, as no host has: did you mean unix:%s (a socket) or, "
                           "for --upstream, file:%s?",
                           endpoint->text, path, path);
}

/* A prefix in capitals, or in the wrong place. */
static bool check_prefix(const struct endpoint *endpoint, const char *text, char *why,
                         size_t why_bytes) {
    static const char *const prefixes[] = {"unix:", "file:", "tcp:", "rdma:", "dpdk:", "mux:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t len = strlen(prefixes[i]);
        if (strncasecmp(text, prefixes[i], len) != 0)
            continue;
        if (strcmp(prefixes[i], "mux:") == 0)
            return endpoint_refuse(why, why_bytes,
                                   "'%s': mux: is for muxd --upstream; did you mean %s?",
                                   endpoint->text, text + len);
        if (strncmp(text, prefixes[i], len) != 0)
            return endpoint_refuse(why, why_bytes,
                                   "'%s': prefixes are small letters: did you mean %s%s?",
                                   endpoint->text, prefixes[i], text + len);
        return endpoint_refuse(why, why_bytes, "'%s' has two prefixes: did you mean %s?",
                               endpoint->text, text);
    }
    return true;
}

bool mistake_check_place(const struct endpoint *endpoint, const char *text, char *why,
                         size_t why_bytes) {
    const char *slashes = strstr(text, "//");
    bool url = slashes && slashes[2] && slashes[2] != '/' &&
               (slashes == text ? text != endpoint->text : slashes[-1] == ':');
    if (url && strncasecmp(text, "unix:", 5) != 0 && strncasecmp(text, "file:", 5) != 0)
        return refuse_url(endpoint, slashes + 2, why, why_bytes);
    if (!check_prefix(endpoint, text, why, why_bytes))
        return false;
    if (strchr(text, '/'))
        return refuse_path(endpoint, text, why, why_bytes);
    for (const char *c = text; *c; c++)
        if (isspace((unsigned char)*c))
            return endpoint_refuse(why, why_bytes, "'%s' has a blank in it, as no host has",
                                   endpoint->text);
    if (strchr(text, ','))
        return endpoint_refuse(why, why_bytes,
                               "'%s' has a comma: one endpoint at a time (--listen can be given "
                               "many times)",
                               endpoint->text);
    if (*text == '-')
        return endpoint_refuse(why, why_bytes,
                               "'%s' looks like an option: the one before it needs a value",
                               endpoint->text);
    return true;
}

bool mistake_check_host(const struct endpoint *endpoint, const char *host, char *why,
                        size_t why_bytes) {
    if (strcmp(host, "*") == 0)
        return endpoint_refuse(why, why_bytes, "'%s': every address is :7533, without '*'",
                               endpoint->text);
    if (*host == '\0' || host[strspn(host, "0123456789")] != '\0')
        return true;
    if (strcmp(host, endpoint->text) == 0)
        return endpoint_refuse(why, why_bytes, "'%s' is a number, no host: did you mean :%s?",
                               endpoint->text, host);
    return endpoint_refuse(why, why_bytes,
                           "'%s': %s is a number, no host; a port stands behind a colon, as in "
                           ":7533 or build7:7533",
                           endpoint->text, host);
}

bool mistake_check_path(const struct endpoint *endpoint, const char *path, char *why,
                        size_t why_bytes) {
    if (*path != '~')
        return true;
    return endpoint_refuse(why, why_bytes,
                           "'%s': the shell leaves '~' as it is behind a colon: write $HOME, or "
                           "./~ for a name that begins so",
                           endpoint->text);
}

bool mistake_check_file(const struct endpoint *endpoint, char *why, size_t why_bytes) {
    struct stat status;
    if (endpoint->kind != ENDPOINT_NETWORK || endpoint->via != TRANSPORT_VIA_KERNEL ||
        strcmp(endpoint->name, endpoint->text) != 0 || stat(endpoint->name, &status) < 0 ||
        S_ISDIR(status.st_mode))
        return true;
    return endpoint_refuse(
        why, why_bytes, "'%s' is a file here: did you mean %s:%s? (tcp:%s if it is a host)",
        endpoint->name, S_ISSOCK(status.st_mode) ? "unix" : "file", endpoint->name, endpoint->name);
}
