/*
 * Records a run while it happens: packets are appended to the run's file, and a thread of its own
 * reads that file into the index. Who records never waits for the index; for the disk it waits as
 * long as write() does.
 */
#ifndef TOOLS_STORE_RECORDER_H
#define TOOLS_STORE_RECORDER_H

#include "mux/packet/packet.h"
#include "tools/store/store.h"

struct recorder;

/*
 * A new run in this store. `source`: what is run, for people. Its stream begins with what marks.h
 * says. NULL: why.
 */
struct recorder *recorder_open(const char *folder, const char *source, char why[STORE_WHY_BYTES]);

const struct store_run *recorder_run(const struct recorder *recorder);

/*
 * A packet that came by a link of this segment, which is put in front of its route code; "": none.
 * It is in the file after recorder_flush() at the latest. False: an error of the disk, see there.
 */
bool recorder_put(struct recorder *recorder, const char *segment, const struct mux_packet *packet);

/*
 * What was put is in the file. False, each time from the first error on: errno. Nothing more is
 * written: what is there is whole.
 */
bool recorder_flush(struct recorder *recorder);

/*
 * How the run went, for who shows it or waits for it, as the last of its stream; the owner ends
 * with this exit status. Without it a run that was finished is shown as cut off.
 */
bool recorder_verdict(struct recorder *recorder, enum store_verdict verdict, int exit_status);

/* The run is over: the index has all of it. Frees the recorder. False: why. */
bool recorder_finish(struct recorder *recorder, char why[STORE_WHY_BYTES]);

#endif
