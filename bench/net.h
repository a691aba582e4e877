/*
 * Sockets, clocks and numbers of the benchmark's programs. A failure ends the program with the
 * reason.
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

noreturn void die(const char *what); /* with errno */
int listen_on(const char *host, const char *port);
int connect_to(const char *host, const char *port); /* retries for a while */
void send_all(int fd, const void *data, size_t len);
void set_nonblocking(int fd);
void raise_file_limit(void);
uint64_t number_of(const char *text); /* of an option */
uint64_t monotonic_ns(void);
uint64_t realtime_ns(void);

#endif
