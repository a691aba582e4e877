#include "tools/farm/needs.h"

#include "tools/farm/pattern.h"
#include "tools/farm/plan/plan.h"
#include "tools/farm/runner_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNTS "tokens"
#define WHO "needs"
#define EXCLUSIVE "exclusive"
#define TAG "tag:"

/* Tags by which a runner says itself what a test needs. In an INI file no name has a colon. */
#define RUNNER_EXCLUSIVE "mux.exclusive"
#define RUNNER_LOCK "mux.lock:"

/* The name in [needs] that is no token. */
#define EXCLUSIVE_KIND PLAN_MOST_TOKENS

/* Who needs one of a kind: tests with this tag, or in whose id the expression is found. */
struct rule {
    unsigned kind;
    char *tag;
    struct pattern *pattern; /* when `tag` is NULL */
};

struct needs {
    char *names[PLAN_MOST_TOKENS];
    uint32_t counts[PLAN_MOST_TOKENS];
    unsigned kinds;
    struct rule *rules;
    size_t rule_count;
    bool is_used[PLAN_MOST_TOKENS + 1], is_asked[PLAN_MOST_TOKENS + 1];
};

/* A file that becomes needs. */
struct reading {
    struct needs *needs;
    const struct ini_entry *entry;
    const char *path;
    char *why;
};

static bool wrong(const struct reading *reading, const char *text, const char *expected) {
    return runner_wrong_at(reading->why, reading->path, reading->entry->line, "%s = %.100s: %s",
                           reading->entry->name, text, expected);
}

/*
 * ---- [tokens] ----
 */

static bool take_count(struct reading *reading) {
    struct needs *needs = reading->needs;
    const char *value = reading->entry->value;
    char *end;
    unsigned long count = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || count > NEEDS_MOST_TOKENS)
        return wrong(reading, value, "expected how many there are, 1 to 1000000");
    if (count == 0)
        return wrong(reading, value, "tests that need one could never run; expected 1 to 1000000");
    if (strcmp(reading->entry->name, EXCLUSIVE) == 0)
        return wrong(reading, value, "\"exclusive\" is no token: a test that needs it runs alone");
    if (needs->kinds == PLAN_MOST_TOKENS)
        return wrong(reading, value, "there are 32 tokens already");
    needs->names[needs->kinds] = strdup(reading->entry->name);
    needs->counts[needs->kinds] = (uint32_t)count;
    return needs->names[needs->kinds++] || wrong(reading, value, "out of memory");
}

/*
 * ---- [needs] ----
 */

static bool find_kind(const struct reading *reading, unsigned *kind) {
    const struct needs *needs = reading->needs;
    *kind = EXCLUSIVE_KIND;
    if (strcmp(reading->entry->name, EXCLUSIVE) == 0)
        return true;
    for (*kind = 0; *kind < needs->kinds; ++*kind)
        if (strcmp(reading->entry->name, needs->names[*kind]) == 0)
            return true;
    return runner_wrong_at(reading->why, reading->path, reading->entry->line,
                           "[needs]: there is no token %.100s in [tokens], where \"%.100s = 1\" "
                           "would say that there is one",
                           reading->entry->name, reading->entry->name);
}

static bool take_rule(struct reading *reading, unsigned kind, const char *text) {
    char reason[PATTERN_WHY_BYTES];
    struct needs *needs = reading->needs;
    struct rule *rules = realloc(needs->rules, (needs->rule_count + 1) * sizeof *rules);
    if (!rules)
        return wrong(reading, text, "out of memory");
    needs->rules = rules;
    struct rule *rule = &rules[needs->rule_count];
    *rule = (struct rule){.kind = kind};
    snprintf(reason, sizeof reason, "out of memory");
    if (strncmp(text, TAG, strlen(TAG)) == 0)
        rule->tag = strdup(text + strlen(TAG));
    else
        rule->pattern = pattern_compile(text, reason);
    if (!rule->tag && !rule->pattern)
        return wrong(reading, text, reason);
    needs->rule_count++;
    needs->is_asked[kind] = true;
    return true;
}

/* A line each. */
static bool take_rules(struct reading *reading) {
    unsigned kind;
    bool is_fine = find_kind(reading, &kind);
    for (const char *at = reading->entry->value; is_fine && *at;) {
        size_t len = strcspn(at, "\n");
        char *line = strndup(at, len);
        is_fine =
            line ? len == 0 || take_rule(reading, kind, line) : wrong(reading, "", "out of memory");
        free(line);
        at += len + (at[len] == '\n');
    }
    return is_fine;
}

/*
 * ---- the file ----
 */

/* [tokens] first: the other section may stand in front of it. */
static bool take_section(struct reading *reading, const struct ini *ini, const char *section,
                         bool (*take)(struct reading *)) {
    for (size_t i = 0; i < ini_count(ini); i++) {
        reading->entry = ini_at(ini, i);
        const char *name = reading->entry->section;
        if (strcmp(name, COUNTS) != 0 && strcmp(name, WHO) != 0)
            return runner_wrong_at(reading->why, reading->path, reading->entry->line,
                                   "there is a section [%.100s], expected [tokens] and [needs]",
                                   name);
        if (reading->entry->name && strcmp(name, section) == 0 && !take(reading))
            return false;
    }
    return true;
}

static struct needs *needs_of(const struct ini *ini, const char *path, char *why) {
    struct reading reading = {.needs = calloc(1, sizeof(struct needs)), .path = path, .why = why};
    bool is_fine = reading.needs || runner_wrong(why, "out of memory");
    if (is_fine && ini)
        is_fine = take_section(&reading, ini, COUNTS, take_count) &&
                  take_section(&reading, ini, WHO, take_rules);
    if (is_fine)
        return reading.needs;
    needs_free(reading.needs);
    return NULL;
}

struct needs *needs_read(struct mux_span bytes, const char *path, char why[NEEDS_WHY_BYTES]) {
    struct ini_error error;
    struct ini *ini = ini_read(bytes, &error);
    if (!ini) {
        runner_wrong_at(why, path, error.line, "%s", error.why);
        return NULL;
    }
    struct needs *needs = needs_of(ini, path, why);
    ini_free(ini);
    return needs;
}

struct needs *needs_open(const char *path, char why[NEEDS_WHY_BYTES]) {
    size_t len;
    char *text = runner_read_file(path, &len, why);
    if (!text)
        return *why ? NULL : needs_of(NULL, path, why);
    struct needs *needs = needs_read(mux_span((uint8_t *)text, len), path, why);
    free(text);
    return needs;
}

void needs_free(struct needs *needs) {
    if (!needs)
        return;
    for (unsigned i = 0; i < needs->kinds; i++)
        free(needs->names[i]);
    for (size_t i = 0; i < needs->rule_count; i++) {
        free(needs->rules[i].tag);
        pattern_free(needs->rules[i].pattern);
    }
    free(needs->rules);
    free(needs);
}

/*
 * ---- tests ----
 */

static void add(struct needs *needs, unsigned kind, struct need *need) {
    needs->is_used[kind] = true;
    if (kind == EXCLUSIVE_KIND)
        need->exclusive = true;
    else
        need->tokens |= UINT32_C(1) << kind;
}

bool needs_of_id(struct needs *needs, struct mux_span id, struct need *need) {
    bool is_fine = true;
    for (size_t i = 0; i < needs->rule_count; i++) {
        const struct rule *rule = &needs->rules[i];
        if (rule->tag)
            continue;
        enum pattern_result result = pattern_search(rule->pattern, id);
        is_fine = is_fine && result != PATTERN_FAILED;
        if (result == PATTERN_YES)
            add(needs, rule->kind, need);
    }
    return is_fine;
}

/* The token of which there is one: the tag is its name. When no more can be, the test runs alone.
 */
static unsigned kind_of_lock(struct needs *needs, struct mux_span tag) {
    for (unsigned kind = 0; kind < needs->kinds; kind++)
        if (mux_span_equal(tag, mux_span_text(needs->names[kind])))
            return kind;
    char *name = needs->kinds < PLAN_MOST_TOKENS ? strndup((const char *)tag.data, tag.len) : NULL;
    if (!name)
        return EXCLUSIVE_KIND;
    needs->names[needs->kinds] = name;
    needs->counts[needs->kinds] = 1;
    return needs->kinds++;
}

static void add_of_runner(struct needs *needs, struct mux_span tag, struct need *need) {
    size_t lock = strlen(RUNNER_LOCK);
    if (mux_span_equal(tag, mux_span_text(RUNNER_EXCLUSIVE)))
        add(needs, EXCLUSIVE_KIND, need);
    else if (tag.len > lock && memcmp(tag.data, RUNNER_LOCK, lock) == 0)
        add(needs, kind_of_lock(needs, tag), need);
}

void needs_of_tags(struct needs *needs, const struct mux_packet *packet, struct need *need) {
    struct mux_span tags = packet->tags, tag;
    while (packet->has_tags && mux_tag_next(&tags, &tag)) {
        add_of_runner(needs, tag, need);
        for (size_t i = 0; i < needs->rule_count; i++)
            if (needs->rules[i].tag && mux_span_equal(tag, mux_span_text(needs->rules[i].tag)))
                add(needs, needs->rules[i].kind, need);
    }
}

const uint32_t *needs_tokens(const struct needs *needs, unsigned *kinds) {
    *kinds = needs->kinds;
    return needs->counts;
}

const char *needs_token_name(const struct needs *needs, unsigned token) {
    return needs->names[token];
}

const char *needs_unused(const struct needs *needs, unsigned *i) {
    for (; *i <= PLAN_MOST_TOKENS; ++*i)
        if (needs->is_asked[*i] && !needs->is_used[*i])
            return *i == EXCLUSIVE_KIND ? EXCLUSIVE : needs->names[*i];
    return NULL;
}
