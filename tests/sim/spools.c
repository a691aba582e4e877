/*
 * The spools of a farm's leaves, on the disk of disk.h: an operation takes its time, finds the disk
 * full, or is torn when its node dies. What is in a spool when its leaf dies must come, and so must
 * what the end's output has of its own workers.
 */
#include "mux/packet/bundle.h"
#include "tests/sim/check.h"
#include <stdio.h>
#include <string.h>

#define SPOOL_MOST_NS (40 * NS_PER_MS)

static const char *path_of(const struct place *place, const char *name,
                           char path[DISK_PATH_BYTES]) {
    int len = snprintf(path, DISK_PATH_BYTES, "%u/%s", place->index, name);
    assert(len < DISK_PATH_BYTES);
    return path;
}

/*
 * ---- operations ----
 */

/* At most so many bytes of it are written. */
static size_t write_file(const struct place *place, const struct mux_spool_op *op, size_t most) {
    char path[DISK_PATH_BYTES];
    struct disk_file *file = disk_find(path_of(place, op->name, path));
    size_t written = 0;
    if (!file && !op->is_new)
        farm_fail(place->farm, "node %u writes to %s, which is not there", place->index, path);
    if (!file || op->is_new)
        file = disk_make(path);
    if (op->at > file->len)
        farm_fail(place->farm, "node %u leaves a gap in %s", place->index, path);
    file->len = op->at;
    for (size_t i = 0; i < op->bytes.count && written < most; i++) {
        struct mux_span span = op->bytes.spans[i];
        size_t len = span.len < most - written ? span.len : most - written;
        disk_append(file, span.data, len);
        written += len;
    }
    return written;
}

static size_t read_file(const struct place *place, const struct mux_spool_op *op) {
    char path[DISK_PATH_BYTES];
    const struct disk_file *file = disk_find(path_of(place, op->name, path));
    if (!file)
        farm_fail(place->farm, "node %u reads %s, which is not there", place->index, path);
    size_t left = op->at < file->len ? file->len - op->at : 0;
    size_t len = left < op->room.len ? left : op->room.len;
    if (len > 0)
        memcpy(op->room.data, file->bytes + op->at, len);
    return len;
}

static void move_file(const struct place *place, const struct mux_spool_op *op) {
    char from[DISK_PATH_BYTES], to[DISK_PATH_BYTES], aside[MUX_SPOOL_NAME_BYTES + 8];
    struct disk_file *file = disk_find(path_of(place, op->name, from));
    snprintf(aside, sizeof aside, "%s.bad", op->name);
    if (!file)
        return;
    if (op->work == MUX_SPOOL_REMOVE) {
        disk_remove(file);
        return;
    }
    if (op->work == MUX_SPOOL_RENAME)
        memcpy(file->bytes, op->head, sizeof op->head);
    disk_move(file, path_of(place, op->work == MUX_SPOOL_RENAME ? op->new_name : aside, to));
}

/* Returns how many bytes were moved. */
static size_t carry_out(const struct place *place, const struct mux_spool_op *op, size_t most) {
    switch (op->work) {
    case MUX_SPOOL_WRITE:
        return write_file(place, op, most);
    case MUX_SPOOL_READ:
        return read_file(place, op);
    case MUX_SPOOL_SYNC:
        return 0;
    default:
        move_file(place, op);
        return 0;
    }
}

static void done(struct timer *timer, uint64_t now_ns) {
    struct place *place = LOOP_OWNER(timer, struct place, spool_timer);
    const struct mux_spool_op *op = place->spool_op;
    struct farm *farm = place->farm;
    bool is_full = op->work == MUX_SPOOL_WRITE && farm_likely(farm, farm->plan.full) &&
                   sim_fault_happens(farm->sim, "full disk of node", place->index);
    size_t most = is_full ? (size_t)sim_random(farm->sim, op->bytes.len_bytes) : SIZE_MAX;
    size_t bytes = carry_out(place, op, most);
    (void)now_ns;
    place->spool_op = NULL;
    node_spool_done(place->node, bytes, is_full ? "write: no space left on device" : NULL);
    node_spool_next(place->node);
}

void spools_do(void *user, const struct mux_spool_op *op) {
    struct place *place = user;
    uint64_t now_ns = sim_now_ns(place->farm->sim);
    place->spool_op = op;
    place->spool_timer.run = done;
    loop_at(&place->loop, &place->spool_timer,
            now_ns + sim_random(place->farm->sim, SPOOL_MOST_NS));
}

/* Its node dies in the middle of it. */
void spools_tear(struct place *place) {
    const struct mux_spool_op *op = place->spool_op;
    if (!op)
        return;
    loop_cancel(&place->loop, &place->spool_timer);
    place->spool_op = NULL;
    if (op->work == MUX_SPOOL_WRITE && !disk_is_frozen(place->index))
        write_file(place, op, (size_t)sim_random(place->farm->sim, op->bytes.len_bytes + 1));
    node_spool_done(place->node, 0, "killed");
}

/*
 * ---- what earlier lives have left ----
 */

void spools_find(struct place *place) {
    static struct disk_file *files[DISK_FILES];
    unsigned count = disk_list(place->index, files);
    char aside[DISK_PATH_BYTES + 8];
    for (unsigned i = 0; i < count; i++) {
        struct mux_spool_head head;
        if (strstr(files[i]->path, ".bad"))
            continue;
        if (!mux_spool_head_read(mux_span(files[i]->bytes, files[i]->len), &head)) {
            if (!node_spool_found(place->node, &head, files[i]->len))
                farm_fail(place->farm, "node %u: no memory for its spool", place->index);
            continue;
        }
        snprintf(aside, sizeof aside, "%s.bad", files[i]->path);
        disk_move(files[i], aside);
    }
}

/* Of the workers that this death has orphaned, what is there must come. */
static void note_packet(struct farm *farm, const struct mux_packet *packet) {
    struct worker *worker = bundles_worker_of(farm, packet);
    struct mux_span whole;
    struct mux_packet sent;
    if (!worker || !worker->is_newly_orphaned || is_text(packet->file_name, "muxd"))
        return;
    for (size_t at = worker->must; at < worker->out.len; at += whole.len) {
        if (!packet_at(mux_span(worker->out.data + at, worker->out.len - at), &whole, &sent))
            return;
        if (bundles_is_same(packet, &sent)) {
            worker->must = at + whole.len;
            return;
        }
    }
}

typedef void on_packet(struct farm *farm, const struct mux_packet *packet);

/* Returns how many packets of workers are in it. */
static unsigned read_packets(struct farm *farm, const struct disk_file *file,
                             on_packet *packet_is) {
    struct mux_spool_head head;
    struct mux_spool_reader reader;
    struct mux_spool_item item;
    struct mux_bundle_item packet;
    unsigned count = 0;
    if (mux_spool_head_read(mux_span(file->bytes, file->len), &head))
        return 0;
    mux_spool_reader_init(&reader, &head);
    for (;;) {
        struct mux_span rest =
            mux_span(file->bytes + reader.position, file->len - (size_t)reader.position);
        enum mux_spool_found found = mux_spool_next(&reader, rest, true, &item);
        if (found == MUX_SPOOL_HOLE && !farm->tree.has_rotten)
            farm_fail(farm, "%s has a hole that nobody has made", file->path);
        if (found != MUX_SPOOL_RECORD && found != MUX_SPOOL_HOLE)
            return count;
        while (found == MUX_SPOOL_RECORD && item.content.len > 0 &&
               !mux_bundle_next(&item.content, &packet)) {
            count += bundles_worker_of(farm, &packet.packet) != NULL;
            packet_is(farm, &packet.packet);
        }
    }
}

/* Rule 27b: whole packets of the end's own workers stay in its output. */
static void note_output(struct farm *farm) {
    const struct disk_file *file = farm->tree.output;
    struct mux_span whole;
    struct mux_packet packet;
    for (size_t at = 0; file && at < file->len; at += whole.len) {
        if (!packet_at(mux_span(file->bytes + at, file->len - at), &whole, &packet))
            return;
        note_packet(farm, &packet);
    }
}

void spools_note(struct place *place) {
    static struct disk_file *files[DISK_FILES];
    unsigned count = disk_list(place->index, files);
    for (unsigned i = 0; i < count; i++)
        if (!strstr(files[i]->path, ".bad"))
            read_packets(place->farm, files[i], note_packet);
    if (trees_is_end(place))
        note_output(place->farm);
}

/* Rule 13: nothing is left, so all that it has read of its workers is kept, or is at the end. */
void spools_note_read(struct place *place) {
    struct farm *farm = place->farm;
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        struct worker *worker = &farm->workers[i];
        struct mux_span whole;
        struct mux_packet packet;
        if (worker->place != place || !worker->begun || worker->life + 1 != place->death_count)
            continue;
        uint64_t read = sim_stream(farm->sim, worker->id, true).read;
        for (size_t at = worker->must; at < read; at += whole.len, worker->must = at) {
            struct mux_span rest = mux_span(worker->out.data + at, (size_t)read - at);
            if (!packet_at(rest, &whole, &packet))
                break;
        }
    }
}

/* Whoever has something in the spool may miss it. */
static void may_miss(struct farm *farm, const struct mux_packet *packet) {
    struct worker *worker = bundles_worker_of(farm, packet);
    if (worker)
        worker->may_miss = true;
}

void spools_rot(struct place *place) {
    static struct disk_file *files[DISK_FILES];
    struct farm *farm = place->farm;
    unsigned count = disk_list(place->index, files);
    if (count == 0)
        return;
    struct disk_file *file = files[sim_random(farm->sim, count)];
    if (strstr(file->path, ".bad") || file->len == 0)
        return;
    unsigned before = read_packets(farm, file, may_miss);
    file->bytes[sim_random(farm->sim, file->len)] ^= (uint8_t)(1u << sim_random(farm->sim, 8));
    farm->tree.has_rotten = true;
    place->rotten_packets += before - read_packets(farm, file, may_miss);
    farm_say(place, "a byte of its spool goes bad");
}
