/* What lwIP wants to know of compiler and system. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include <stdint.h>
#include <sys/time.h>

#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_ERRNO_STDINCLUDE 1
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS 1

#include <arpa/inet.h>
#define lwip_htons(x) htons(x)
#define lwip_htonl(x) htonl(x)

uint32_t lwip_random(void);
#define LWIP_RAND() lwip_random()

_Noreturn void lwip_assertion_failed(const char *message, const char *file, int line);
#define LWIP_PLATFORM_ASSERT(message) lwip_assertion_failed(message, __FILE__, __LINE__)

#endif
