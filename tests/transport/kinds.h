/*
 * The engines that the conformance suite can test.
 */
#ifndef TESTS_TRANSPORT_KINDS_H
#define TESTS_TRANSPORT_KINDS_H

#include "transport/transport.h"

#define KIND_PARTS_MAX 2

struct engine_kind {
    const char *name;                /* on the command line */
    enum transport_via via;          /* the stack whose ops an entry without ops gets */
    const struct transport_ops *ops; /* NULL: this build is without the stack */
    const struct engine_kind *far;   /* the other end's; NULL: of the same kind */
    unsigned parts_count;            /* of transport_mixed */
    struct {
        enum transport_via via;
        const struct transport_ops *ops;
    } parts[KIND_PARTS_MAX];
};

/* The engine itself; of transport_mixed, its first part. */
static inline const struct transport_ops *engine_kind_first(const struct engine_kind *kind) {
    return kind->parts_count ? kind->parts[0].ops : kind->ops;
}

/* NULL: unknown name. */
const struct engine_kind *engine_kind(const char *name);

#endif
