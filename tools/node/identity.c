#include "tools/node/identity.h"
#include "tools/base/random.h"
#include "tools/base/wall.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

void identity_draw(struct node_config *config, const char *name) {
    uint64_t random[6];
    char identity[MUX_IDENTITY_BYTES], host[MUX_NODE_NAME_BYTES] = "";
    random_fill(random, sizeof random);
    snprintf(identity, sizeof identity, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    gethostname(host, sizeof host - 1);
    mux_hello_init(&config->mux.hello, identity, name ? name : host);
    config->wall_ahead_ns = wall_ahead_ns;
    config->seed = random[2];
    config->mux.hash_key = random[3];
    config->mux.secret[0] = random[4];
    config->mux.secret[1] = random[5];
}
