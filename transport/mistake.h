/* Endpoints that can only be mistakes, and what the user most likely meant. */
#ifndef TRANSPORT_MISTAKE_H
#define TRANSPORT_MISTAKE_H

#include "transport/endpoint.h"

/*
 * These look at the file system at most.
 *
 * `text`: the place in endpoint->text, behind tcp: or rdma:, before it is taken apart. False: no
 * host or interface is written so, and a sentence in `why` says what to write.
 */
bool mistake_check_place(const struct endpoint *endpoint, const char *text, char *why,
                         size_t why_bytes);

/* The same of the host or interface alone. */
bool mistake_check_host(const struct endpoint *endpoint, const char *host, char *why,
                        size_t why_bytes);

/* The same of a path. */
bool mistake_check_path(const struct endpoint *endpoint, const char *path, char *why,
                        size_t why_bytes);

/*
 * The same of an endpoint to connect to whose text is the name of a file here, which is more likely
 * meant than a host.
 */
bool mistake_check_file(const struct endpoint *endpoint, char *why, size_t why_bytes);

#endif
