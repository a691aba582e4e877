#include "tools/agent/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tag of each part but the first: how many bytes of the job came before it. */
#define AT_TAG "at="

#define CAPACITY_LEAST_BYTES ((size_t)64 << 10)

static void drop_bytes(struct parts *parts, struct parts_job *job) {
    parts->bytes -= job->capacity;
    free(job->bytes);
    job->bytes = NULL;
    job->len = job->capacity = 0;
}

static void forget(struct parts *parts, struct parts_job *job) {
    drop_bytes(parts, job);
    *job = (struct parts_job){0};
}

static struct parts_job *find(struct parts *parts, const char *name) {
    for (unsigned i = 0; i < PARTS_JOBS_MAX; i++)
        if (strcmp(parts->jobs[i].name, name) == 0)
            return &parts->jobs[i];
    return NULL;
}

/* Memory for so many bytes more. False: it is too much. */
static bool reserve(struct parts *parts, struct parts_job *job, size_t more) {
    size_t needed = job->len + more, capacity = job->capacity;
    if (needed > JOB_MOST_BYTES)
        return false;
    while (capacity < needed)
        capacity = capacity ? 2 * capacity : CAPACITY_LEAST_BYTES;
    if (parts->bytes - job->capacity + capacity > PARTS_MOST_BYTES)
        return false;
    uint8_t *bytes = capacity == job->capacity ? job->bytes : realloc(job->bytes, capacity);
    if (!bytes)
        return false;
    parts->bytes += capacity - job->capacity;
    job->bytes = bytes;
    job->capacity = capacity;
    return true;
}

/* ---- what a packet says ---- */

/* The job's name, if it is one. */
static bool take_name(const struct mux_packet *packet, char *name) {
    if (packet->test_id.len >= ANSWER_NAME_BYTES)
        return false;
    memcpy(name, packet->test_id.data, packet->test_id.len);
    name[packet->test_id.len] = '\0';
    return *name != '\0';
}

static bool take_digits(struct mux_span digits, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9' || *number > JOB_BYTES_MOST)
            return false;
        *number = *number * 10 + (digits.data[i] - '0');
    }
    return digits.len > 0;
}

bool parts_at(const struct mux_packet *packet, uint64_t *at) {
    const struct mux_span prefix = mux_span_text(AT_TAG);
    struct mux_span tags = packet->tags, tag;
    *at = 0;
    while (mux_tag_next(&tags, &tag))
        if (tag.len >= prefix.len && memcmp(tag.data, prefix.data, prefix.len) == 0)
            return take_digits(mux_span(tag.data + prefix.len, tag.len - prefix.len), at);
    return true;
}

/* ---- outcomes ---- */

static void refuse(struct parts *parts, struct parts_job *job, struct parts_result *result) {
    result->outcome = PARTS_REFUSED;
    if (!job)
        return;
    job->is_refused = true;
    drop_bytes(parts, job);
}

/* Something is wrong with a part; the rest of the job is dropped quietly. */
static void refuse_gap(struct parts *parts, struct parts_job *job, uint64_t at,
                       struct parts_result *result) {
    read_wrong(result->why,
               "a part is missing: %zu bytes of it have come, and the next part begins "
               "at %" PRIu64,
               job->len, at);
    refuse(parts, job, result);
}

static void refuse_size(struct parts *parts, struct parts_job *job, struct parts_result *result) {
    read_wrong(result->why, "it is larger than %zu bytes, or too many large jobs come at once",
               JOB_MOST_BYTES);
    refuse(parts, job, result);
}

static void finish(struct parts *parts, struct parts_job *job, struct parts_result *result) {
    result->outcome = PARTS_WHOLE;
    result->text = mux_span(job->bytes, job->len);
    parts->whole = job->bytes;
    parts->bytes -= job->capacity;
    *job = (struct parts_job){0};
}

/* What came twice (a connection was lost in between) is skipped. */
static void add(struct parts *parts, struct parts_job *job, const struct mux_packet *packet,
                uint64_t at, struct parts_result *result) {
    struct mux_span content = packet->file_content;
    if (at > job->len) {
        refuse_gap(parts, job, at, result);
        return;
    }
    size_t known = job->len - at < content.len ? job->len - at : content.len;
    size_t more = content.len - known;
    if (!reserve(parts, job, more)) {
        refuse_size(parts, job, result);
        return;
    }
    if (more)
        memcpy(job->bytes + job->len, content.data + known, more);
    job->len += more;
    if (packet->eof)
        finish(parts, job, result);
}

static struct parts_job *begin(struct parts *parts, uint64_t at, struct parts_result *result) {
    struct parts_job *job = find(parts, "");
    if (at > 0 || !job) {
        if (at > 0)
            read_wrong(result->why, "its first part is missing");
        else
            read_wrong(result->why, "too many jobs come in parts at once");
        result->outcome = PARTS_REFUSED;
        return NULL;
    }
    memcpy(job->name, result->name, sizeof job->name);
    return job;
}

static void take_part(struct parts *parts, const struct mux_packet *packet, uint64_t at,
                      uint64_t now_ns, struct parts_result *result) {
    struct parts_job *job = find(parts, result->name);
    if (job && at == 0)
        forget(parts, job); /* it begins again */
    if (!job || at == 0)
        job = begin(parts, at, result);
    if (!job)
        return;
    job->until_ns = now_ns + PARTS_WAIT_NS;
    if (!job->is_refused)
        add(parts, job, packet, at, result);
    if (packet->eof && job->is_refused)
        forget(parts, job);
}

void parts_take(struct parts *parts, const struct mux_packet *packet, uint64_t now_ns,
                struct parts_result *result) {
    uint64_t at;
    *result = (struct parts_result){.outcome = PARTS_MORE};
    free(parts->whole);
    parts->whole = NULL;
    bool has_name = packet->test_id.data != NULL;
    if (has_name && !take_name(packet, result->name)) {
        result->outcome = PARTS_REFUSED;
        read_wrong(result->why, "its test id, the job's name, is not of 1 to %d bytes",
                   ANSWER_NAME_BYTES - 1);
    } else if (!parts_at(packet, &at)) {
        result->outcome = PARTS_REFUSED;
        read_wrong(result->why, "its tag " AT_TAG " is no number of bytes");
    } else if (has_name) {
        take_part(parts, packet, at, now_ns, result);
    } else if (packet->eof && at == 0) {
        result->outcome = PARTS_WHOLE;
        result->text = packet->file_content;
    } else {
        result->outcome = PARTS_REFUSED;
        read_wrong(result->why, "a part of a job needs the job's name as its test id");
    }
}

bool parts_give_up(struct parts *parts, uint64_t now_ns, struct parts_result *result) {
    for (unsigned i = 0; i < PARTS_JOBS_MAX; i++) {
        struct parts_job *job = &parts->jobs[i];
        if (!*job->name || now_ns < job->until_ns)
            continue;
        bool is_new = !job->is_refused;
        *result = (struct parts_result){.outcome = PARTS_REFUSED};
        memcpy(result->name, job->name, sizeof result->name);
        read_wrong(result->why, "its next part has not come for %" PRIu64 " s",
                   PARTS_WAIT_NS / 1000000000);
        forget(parts, job);
        if (is_new)
            return true;
    }
    return false;
}

uint64_t parts_deadline_ns(const struct parts *parts) {
    uint64_t at_ns = UINT64_MAX;
    for (unsigned i = 0; i < PARTS_JOBS_MAX; i++)
        if (*parts->jobs[i].name && parts->jobs[i].until_ns < at_ns)
            at_ns = parts->jobs[i].until_ns;
    return at_ns;
}

void parts_free(struct parts *parts) {
    for (unsigned i = 0; i < PARTS_JOBS_MAX; i++)
        forget(parts, &parts->jobs[i]);
    free(parts->whole);
    parts->whole = NULL;
}
