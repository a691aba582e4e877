#include "tools/agent/prompt.h"

bool prompt_pattern_compile(struct prompt_pattern *pattern, char *why, size_t why_bytes) {
    int error = regcomp(&pattern->compiled, pattern->text, REG_EXTENDED);
    pattern->is_compiled = !error;
    if (error)
        regerror(error, &pattern->compiled, why, why_bytes);
    return !error;
}

void prompt_pattern_free(struct prompt_pattern *pattern) {
    if (pattern->is_compiled)
        regfree(&pattern->compiled);
    pattern->is_compiled = false;
}

void prompt_text(struct prompt *prompt, struct mux_span text, struct mux_span stream) {
    if (!prompt->pattern || !text.len)
        return;
    if (prompt->stream.data != stream.data)
        prompt->line_len = 0;
    prompt->stream = stream;
    prompt->is_fresh = true;
    const uint8_t *newline = memrchr(text.data, '\n', text.len);
    if (newline) {
        prompt->line_len = 0;
        text = mux_span(newline + 1, (size_t)(text.data + text.len - newline - 1));
    }
    if (text.len > PROMPT_LINE_BYTES)
        text = mux_span(text.data + text.len - PROMPT_LINE_BYTES, PROMPT_LINE_BYTES);
    size_t kept = PROMPT_LINE_BYTES - text.len;
    kept = prompt->line_len < kept ? prompt->line_len : kept;
    memmove(prompt->line, prompt->line + prompt->line_len - kept, kept);
    memcpy(prompt->line + kept, text.data, text.len);
    prompt->line_len = kept + text.len;
}

void prompt_goes_on(struct prompt *prompt) {
    prompt->line_len = 0;
    prompt->goes_on = prompt->state != PROMPT_NONE;
}

/* The length of "ESC [ ... LETTER" at the head; 0: there is none. */
static size_t control_bytes(struct mux_span text) {
    if (text.len < 2 || text.data[0] != '\033' || text.data[1] != '[')
        return 0;
    for (size_t i = 2; i < text.len; i++)
        if (text.data[i] >= 0x40)
            return i + 1;
    return text.len;
}

/* Without control sequences; readline marks invisible parts with 1 and 2. With a NUL at the end. */
static size_t plain_line(const struct prompt *prompt, char out[PROMPT_LINE_BYTES + 1]) {
    struct mux_span rest = mux_span(prompt->line, prompt->line_len);
    size_t len = 0;
    while (rest.len) {
        size_t skipped = control_bytes(rest);
        if (!skipped && *rest.data >= ' ')
            out[len++] = (char)*rest.data;
        skipped = skipped ? skipped : 1;
        rest = mux_span(rest.data + skipped, rest.len - skipped);
    }
    out[len] = '\0';
    return len;
}

/* NULL: no memory is left for it. */
static const regex_t *compiled(struct prompt_pattern *pattern) {
    char why[128];
    bool is_there = pattern->is_compiled || prompt_pattern_compile(pattern, why, sizeof why);
    return is_there ? &pattern->compiled : NULL;
}

bool prompt_look(struct prompt *prompt) {
    const regex_t *pattern = compiled(prompt->pattern);
    char line[PROMPT_LINE_BYTES + 1];
    regmatch_t at = {.rm_so = 0, .rm_eo = (regoff_t)plain_line(prompt, line)};
    const regoff_t end = at.rm_eo;
    bool found = false;
    /* the last match, if it is at the end */
    while (pattern && at.rm_so <= end && regexec(pattern, line, 1, &at, REG_STARTEND) == 0) {
        found = at.rm_eo == end && at.rm_eo > at.rm_so;
        prompt->shown_len = (size_t)(at.rm_eo - at.rm_so);
        memcpy(prompt->shown, line + at.rm_so, prompt->shown_len);
        if (found)
            break;
        at = (regmatch_t){.rm_so = at.rm_so + 1, .rm_eo = end};
    }
    return found;
}
