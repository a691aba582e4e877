"""The mutations of the reliable protocol: one rule switched off at a time.

Each is a rule, what is wrong without it, a source file, texts in it and what they become, and seeds
of `simulate KIND` that have seen it (test_mutations.py tries these first): -t are trees with random
faults, -d are scenes.
"""

from collections import namedtuple

Mutation = namedtuple("Mutation", "rule what file changes seeds kind", defaults=["-t"])

STREAM, LEAF, KNOWN, END = ("mux/node/stream.c", "mux/node/leaf.c", "mux/node/known.c", "mux/node/end.c")
UNBUNDLE, JOURNALED = "mux/node/unbundle.c", "mux/node/unbundle_journal.c"
SPOOLER, RELAY, BEAT = "mux/node/spooler.c", "mux/node/relay.c", "mux/node/beat.c"

# Not here:
# 3 needs a node of before bundles in the tree, and 28 an end whose consumer is plain: the simulator has neither yet.
# 30: half a message never gets beyond the framer, which gives whole packets whose CRC is right. No rule can be off.
# 31b: how much a kernel takes ahead is the socket's option (transport/socket.c), which simulated ones do not have.
MUTATIONS = [
    Mutation("5", "a stream goes on after a restart", "tests/sim/farm.c",
             [("place->death_count * FARM_NODES_MAX + scenes_identity(place) + 1", "place->index + 1")], [3]),
    Mutation("7", "a packet that fits no bundle is not split", "mux/node/up.c",
             [("    return mux_has_stream(mux) ? mux_bundle_split(prefix, packet, &packets[0], &packets[1])\n"
               "                               : mux_prefix_split(",
               "    (void)mux;\n    return mux_prefix_split(")], [7], "-d"),
    Mutation("8", "a record that is not full is not closed", STREAM,
             [("        flush = stream->cut_ns + MUX_STREAM_FLUSH_NS;", "        flush = UINT64_MAX;"),
              ("if (stream->cut.len_bytes > 0 && now_ns >= stream->cut_ns + MUX_STREAM_FLUSH_NS)", "if (false)"),
              ("stream->cut.len_bytes > 0 && is_idle)", "stream->cut.len_bytes > 0 && false)")], [1]),
    Mutation("9", "a leaf forgets what the end has, though it is not safe", STREAM,
             [("    forget(stream, ack->safe, now_ns);", "    forget(stream, ack->at, now_ns);")], [176]),
    Mutation("10", "the window has no end", STREAM,
             [("    return !stream->is_final && !is_full(stream) &&",
               "    return !stream->is_final && kept_bytes(stream) + 1048576 < stream->ring.len &&\n"
               "           stream->count + 60 < stream->records_max &&")], [22]),
    Mutation("11", "the spool has no limit", SPOOLER,
             [("           spooler->bytes + cost <= spooler->config.limits.most_bytes;", "           cost > 0;"),
              ("    uint64_t room = spooler->config.limits.most_bytes - spooler->bytes;",
               "    uint64_t room = UINT64_MAX;")], [19]),
    Mutation("11b", "the spool goes on behind a gap and keeps what was before it", SPOOLER,
             [("    if (record->offset > spooler->written) {",
               "    if (false && record->offset > spooler->written) {")], [21]),
    Mutation("12", "the spool of an earlier life is not sent", "mux/node/leaf_spool.c",
             [("    while (leaf->spooler && !leaf->has_earlier &&", "    while (false &&")], [1]),
    Mutation("12b", "a spool is sent before what is live", LEAF,
             [("        leaf->sends_earlier = leaf->has_earlier && !leaf->sends_earlier;",
               "        leaf->sends_earlier = leaf->has_earlier && i == 0;")], [86], "-d"),
    Mutation("13", "the end of a stream is said before its last record is cut", STREAM,
             [("    return stream->len_bytes - stream->safe + stream->cut.len_bytes;",
               "    return stream->len_bytes - stream->safe;"),
              ("    return stream->len_bytes - from + stream->cut.len_bytes;", "    return stream->len_bytes - from;"),
              ("    assert(!stream->is_final || stream->cut.len_bytes == 0);\n", ""),
              ("    if (stream->cut.len_bytes > 0)\n        close_cut(stream);\n    stream->is_final = true;",
               "    stream->is_final = true;")], [5], "-d"),
    Mutation("14", "no epochs: late connections take the path", STREAM,
             [("    stream->epoch = epoch + 1;", "    stream->epoch = epoch > 1 ? epoch : 1;"),
              ("        stream->epoch++;\n", "")], [23], "-d"),
    Mutation("14 where", "a late where takes the path", KNOWN,
             [("    if (where->epoch < known->epoch)\n        return false;\n", "")], [23], "-d"),
    Mutation("15", "where with an epoch that is too low is not answered", UNBUNDLE,
             [("    send_ack(link, &got.ack, packet->route);\n    return NULL;",
               "    if (got.found != MUX_END_WHERE_LATE)\n"
               "        send_ack(link, &got.ack, packet->route);\n    return NULL;")], [7]),
    Mutation("16", "after where the leaf goes on where it was", STREAM,
             [("    stream->position = at > stream->base ? at : stream->base;\n", "    (void)at;\n")], [6]),
    Mutation("17", "no acknowledgement for long: nothing is done", STREAM,
             [("    } else if (awaits_safe(stream) && now_ns >= stalled_ns(stream)) {",
               "    } else if (false && stalled_ns(stream)) {"),
              ("    else if (may_ask && awaits_safe(stream))",
               "    else if (false && may_ask && awaits_safe(stream))")], [10], "-d"),
    Mutation("18", "who has a new upstream does not ask those below", RELAY,
             [("        if (link->has_bundles)\n            mux_down_offer(link, &ask);", "        (void)link, (void)ask;")], [39]),
    Mutation("19", "where is not repeated", STREAM,
             [("    if (stream->state == MUX_STREAM_ASKING && now_ns >= stream->asked_ns + stream->wait_ns) {",
               "    if (false) {"),
              ("    if (may_ask && stream->state == MUX_STREAM_ASKING)",
               "    if (false && may_ask && stream->state == MUX_STREAM_ASKING)")], [42], "-d"),
    Mutation("20", "a bundle opens an unknown stream", END,
             [("    if (!*stream)\n        return MUX_KNOWN_DROPPED_ASK;\n",
               "    if (!*stream) {\n"
               "        struct mux_where opens = {.epoch = bundle->epoch, .base = bundle->offset, .crc = bundle->crc};\n"
               "        memcpy(opens.stream, bundle->stream, sizeof opens.stream);\n"
               "        *stream = mux_end_where(end, mux_span_text(\"unknown\"), &opens, now_ns).stream;\n"
               "        if (!*stream)\n            return MUX_KNOWN_DROPPED_ASK;\n    }\n")], [1], "-d"),
    Mutation("21", "a gap is passed over", KNOWN,
             [("bundle->offset == known->at && bundle->crc == known->crc) {",
               "bundle->offset >= known->at) {\n        known->at = bundle->offset;\n        known->crc = bundle->crc;")], [30]),
    Mutation("21b", "a duplicate is taken", KNOWN,
             [("    if (bundle->epoch == known->epoch && bundle->offset == known->at && bundle->crc == known->crc) {\n"
               "        known->at += content->len_bytes;",
               "    if (bundle->offset <= known->at) {\n"
               "        known->at = bundle->offset + content->len_bytes;\n"
               "        known->crc = bundle->crc;\n"
               "        if (known->safe > known->at)\n            known->safe = known->at;")], [33], "-d"),
    Mutation("22", "base above what the end has: nothing is done", KNOWN,
             [("    if (where->base > known->at) {", "    if (false) {")], [19]),
    Mutation("23", "no pin: the route is the path", END,
             [("    answer(end, &got);\n    if (got.found == MUX_END_WHERE_LATE)",
               "    mux_prefix_init_path(&got.stream->prefix, path);\n"
               "    answer(end, &got);\n    if (got.found == MUX_END_WHERE_LATE)")], [2]),
    Mutation("23b", "pins are not kept in the journal", JOURNALED,
             [("    return mux_end_restore(&mux->unbundle->end, id, pin, at, crc) != NULL;",
               "    static unsigned number;\n    char other[16];\n    (void)pin;\n"
               "    snprintf(other, sizeof other, \"r%u\", ++number);\n"
               "    return mux_end_restore(&mux->unbundle->end, id, mux_span_text(other), at, crc) != NULL;"),
              ("#include \"mux/node/mux_internal.h\"\n", "#include \"mux/node/mux_internal.h\"\n#include <stdio.h>\n")], [5]),
    Mutation("24", "two streams get one pin", END,
             [("find_pin(end, mux_span(pin, len)); n++", "false && find_pin(end, mux_span(pin, len)); n++")], [5]),
    Mutation("25", "a stream that has ended is forgotten", END,
             [("forget_idle(end, MUX_END_REMEMBERED_MOST_NS, now_ns)", "forget_idle(end, 0, now_ns)")], [2]),
    Mutation("26", "acknowledged when applied, not when safe", END,
             [("    see_idle(end, *stream, now_ns);\n    return verdict;",
               "    mux_end_safe(end, *stream, (*stream)->known.at, (*stream)->known.crc, now_ns);\n"
               "    return verdict;")], [90]),
    Mutation("27", "the journal after the output", "tools/muxd/journal.c",
             [("static bool append(struct journal *journal, struct mux_span record,",
               "static bool append_now(struct journal *journal, struct mux_span record,"),
              ("bool journal_record(struct journal *journal,",
               "static bool append(struct journal *journal, struct mux_span record, char *why, size_t why_bytes) {\n"
               "    static uint8_t last[1 << 20];\n    static size_t len;\n    static uint64_t first;\n"
               "    bool fine = len == 0 || first != journal->begun_bytes + journal->first_bytes ||\n"
               "                append_now(journal, mux_span(last, len), why, why_bytes);\n"
               "    memcpy(last, record.data, record.len);\n    len = record.len;\n"
               "    first = journal->begun_bytes + journal->first_bytes;\n    return fine;\n}\n\n"
               "bool journal_record(struct journal *journal,")], [20]),
    Mutation("27b", "whole packets of the end's own workers are cut off, too", "mux/node/journal.c",
             [("    return finish(follower, item->stream ? MUX_JOURNAL_CUT : MUX_JOURNAL_PLAIN);",
               "    return finish(follower, MUX_JOURNAL_CUT);")], [1], "-d"),
    Mutation("29", "segments are given anew after a restart of the end", JOURNALED,
             [("    if (mux->segments.next < next_segment)\n        mux->segments.next = next_segment;\n",
               "    (void)next_segment;\n")], [18], "-d"),
    Mutation("31", "a relay keeps its queue when its upstream is lost", "mux/node/upstream.c",
             [("    if (mux_is_relay(mux))\n        drop_queue(mux);", "    if (false)\n        drop_queue(mux);")], [4], "-d"),
    Mutation("32", "a lost link is not told", RELAY,
             [("    if (mux->unbundle)\n        mux_unbundle_lose(link);\n", ""),
              ("    if (!link->has_bundles || !link->has_streams ||", "    if (true || !link->has_streams ||")], [3]),
    Mutation("32b", "a lost link is lost alone, not what is behind it", END,
             [("stream->life == MUX_END_LIVE && begins_with(path_of(stream), path))",
               "stream->life == MUX_END_LIVE && mux_span_equal(path_of(stream), path))")], [44]),
    Mutation("33", "damage between nodes does not end the connection", "mux/node/up.c",
             [("    if (link->has_bundles && is_damage(&frame)) {", "    if (false) {")], [7]),
    Mutation("34", "an acknowledgement for nobody is answered", RELAY,
             [("    if (why || kind == MUX_MESSAGE_ACK) {\n",
               "    if (!why && kind == MUX_MESSAGE_ACK)\n        mux_leaf_ask_anew(mux);\n"
               "    if (why || kind == MUX_MESSAGE_ACK) {\n")], [1]),
    Mutation("35", "who is lost is judged at once", END,
             [("begins_with(path_of(stream), path))\n            set_life(end, stream, MUX_END_LOST, now_ns);",
               "begins_with(path_of(stream), path))\n            set_life(end, stream, MUX_END_JUDGED, now_ns);")], [4]),
    Mutation("36", "a stream of an earlier life ends, and nobody fails its tests", END,
             [("    if (mux_known_is_done(&stream->known))\n        set_life(end, stream, MUX_END_JUDGED, now_ns);",
               "    (void)end, (void)stream, (void)now_ns;")], [12]),
    Mutation("37", "the grace runs while the end does not listen", END,
             [("    if (elapsed_ns > MUX_END_TICK_NS)\n        elapsed_ns = MUX_END_TICK_NS;\n", ""),
              ("    if (listens && end->has_listened)\n", "    if (listens || !end->has_listened)\n")], [2]),
    Mutation("38", "acknowledgements are not compared with what was sent", STREAM,
             [("    if (!agrees(stream, ack)) {", "    if (false && !agrees(stream, ack)) {")], [10], "-d"),
    Mutation("39", "a restarted end does not know which tests are in progress", JOURNALED,
             [("    struct mux_end_stream *stream = mux_end_find(&unbundle->end, packet->route);\n    if (stream)",
               "    struct mux_end_stream *stream = mux_end_find(&unbundle->end, packet->route);\n"
               "    if (packet->test_id.data)\n        return;\n    if (stream)")], [18]),
    Mutation("39b", "a new journal does not say which tests are in progress", JOURNALED,
             [("add_streams(unbundle, &writer) && add_all_tests(mux, &writer)",
               "add_streams(unbundle, &writer) && (true || add_all_tests(mux, &writer))")], [18]),
    Mutation("39b inode", "a restart finds another file by the same name", "tools/muxd/journal_follow.c",
             [("    return status->st_dev == head->device && status->st_ino == head->inode &&\n           S_ISREG",
               "    return status->st_dev == head->device && head->inode &&\n           S_ISREG")], [14]),
    Mutation("40", "the way down is not translated", END,
             [("    *path = path_of(stream);\n    *rest =", "    *path = stream->pin;\n    *rest =")], [5]),
    Mutation("41", "something goes down to a stream of an earlier life", END,
             [("    if (stream->life != MUX_END_LIVE || stream->known.is_final)\n        return MUX_END_WAY_NONE;\n", "")], [4]),
    Mutation("42", "a relay that is cut off keeps its links", BEAT,
             [("        mux_link_break_off(MUX_LIST_ITEM(at, struct mux_link, beat_entry), no_upstream);",
               "        (void)at;"),
              ("    return link->has_bundles && link->mux->beat.is_cut_off ? no_upstream : NULL;",
               "    return link->has_bundles && false ? no_upstream : NULL;")], [19]),
    Mutation("43", "a silent upstream is kept", BEAT,
             [("    else if (mux->ran_ns >= beat->heard_ns + silence_ns(mux))", "    else if (false)")], [19]),
]
