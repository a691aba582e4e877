#include "transport/intake.h"

void intake_stop(struct intake *intake) {
    struct mux_buffer *buffer = intake->granted;
    task_stop(&intake->task);
    intake->granted = NULL;
    if (buffer)
        intake->pool->returned(intake->pool, buffer);
}

void intake_lend(struct intake *intake, struct mux_buffer *buffer, size_t len) {
    pool_lend(intake->pool, buffer);
    intake->pool = pool_after(intake->pool, len, &intake->short_receives);
}

void intake_offer(struct intake *intake, struct mux_room room) {
    assert(intake->on && intake->room.len == 0 && room.len > 0);
    intake->room = room;
    intake_stop(intake);
}

struct mux_buffer *intake_buffer(struct intake *intake) {
    struct mux_buffer *granted = intake->granted;
    intake->granted = NULL;
    return granted ? granted : pool_take(intake->pool);
}

void intake_wait(struct intake *intake) {
    mux_list_append(&intake->pool->waiting, &intake->task.link);
}

void intake_buffer_returned(struct pool *pool, struct mux_buffer *buffer) {
    struct mux_list *link = mux_list_pop(&pool->waiting);
    if (!link) {
        pool_keep(pool, buffer);
        return;
    }
    struct intake *intake = MUX_LIST_ITEM(link, struct intake, task.link);
    intake->granted = buffer;
    intake_wake(intake);
}
