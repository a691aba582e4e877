#include "tools/results/looks.h"

#include "mux/packet/packet.h"

#include <stdio.h>
#include <strings.h>

#define DAMAGED_V2 "subunit v2, cut off or damaged"
#define RECODED_V2                                                                         \
    "subunit v2 that was taken for text and recoded: its bytes must pass as they are, by " \
    "binary pipes and files"

static bool begins(struct mux_span bytes, const char *text) {
    size_t len = strlen(text);
    return bytes.len >= len && memcmp(bytes.data, text, len) == 0;
}

static bool holds(struct mux_span bytes, const char *text) {
    return memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

/*
 * ---- files that say what they are ----
 */

struct format {
    size_t at, len;
    const char *magic, *what;
};

static const struct format packed[] = {
    {0, 2, "\x1F\x8B", "gzip: unpack it first (gzip -dc)"},
    {0, 6,
     "\xFD"
     "7zXZ\0",
     "xz: unpack it first (xz -dc)"},
    {0, 4, "\x28\xB5\x2F\xFD", "zstd: unpack it first (zstd -dc)"},
    {4, 6, "1AY&SY", "bzip2: unpack it first (bzip2 -dc)"},
    {0, 4, "\x04\x22\x4D\x18", "lz4: unpack it first (lz4 -dc)"},
    {0, 5, "LZIP\1", "lzip: unpack it first (lzip -dc)"},
    {0, 2, "\x1F\x9D", "compress(1)'s output: unpack it first (zcat)"},
    {0, 4, "PK\3\4", "a zip archive: unpack it first (unzip -p)"},
    {0, 6, "7z\xBC\xAF\x27\x1C", "a 7z archive: unpack it first"},
};

static const struct format others[] = {
    {257, 5, "ustar", "a tar archive: unpack it first (tar -x)"},
    {0, 4,
     "\x7F"
     "ELF",
     "an ELF program or library"},
    {0, 4, "\xFF\xFE\0\0", "UTF-32 text"},
    {0, 4, "\0\0\xFE\xFF", "UTF-32 text"},
    {0, 15, "SQLite format 3", "an SQLite database"},
    {0, 5, "%PDF-", "a PDF document"},
    {0, 4, "\x89PNG", "a PNG picture"},
    {0, 4, "\xD4\xC3\xB2\xA1", "a capture of packets (pcap)"},
    {0, 4, "\x0A\x0D\x0D\x0A", "a capture of packets (pcapng)"},
};

static const char *find_format(struct mux_span head, const struct format *formats, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (head.len >= formats[i].at + formats[i].len &&
            memcmp(head.data + formats[i].at, formats[i].magic, formats[i].len) == 0)
            return formats[i].what;
    return NULL;
}

const char *looks_packed(struct mux_span head) {
    return find_format(head, packed, sizeof packed / sizeof *packed);
}

/* How many of the first 64 bytes at even (0) or odd (1) places are NUL, of each hundred. */
static unsigned nul_percent(struct mux_span head, size_t from) {
    unsigned nuls = 0, places = 0;
    for (size_t i = from; i < head.len && i < 64; i += 2, places++)
        nuls += head.data[i] == 0;
    return places ? 100 * nuls / places : 0;
}

/* With its byte order mark or, where most characters are Latin, by the other byte of each. */
static bool is_utf16(struct mux_span head) {
    if (begins(head, "\xFF\xFE") || begins(head, "\xFE\xFF"))
        return true;
    unsigned even = nul_percent(head, 0), odd = nul_percent(head, 1);
    return head.len >= 4 && ((even > 70 && odd < 10) || (odd > 70 && even < 10));
}

static bool is_nuls(struct mux_span head) {
    for (size_t i = 0; i < head.len; i++)
        if (head.data[i])
            return false;
    return true;
}

/*
 * ---- subunit v2 that something happened to on the way ----
 */

/* The second byte of a packet: version 2 and three flags. */
static bool is_version_2(struct mux_span bytes, size_t at) {
    return bytes.len > at && bytes.data[at] >> 4 == MUX_FLAG_VERSION_2 >> 12;
}

static bool is_base64(struct mux_span bytes) {
    size_t i = 0;
    while (i < bytes.len && i < 60 &&
           strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n",
                  bytes.data[i] ? bytes.data[i] : ' '))
        i++;
    return i >= 12 && (i == bytes.len || i == 60);
}

static const char *harmed_v2(struct mux_span head) {
    if (begins(head, "\xB3") && is_version_2(head, 1))
        return DAMAGED_V2;
    /* U+00B3, which the signature is in Latin-1, or what stands for bytes that are no UTF-8 */
    if ((begins(head, "\xC2\xB3") && is_version_2(head, 2)) ||
        (begins(head, "\xEF\xBF\xBD") && is_version_2(head, 3)))
        return RECODED_V2;
    if (begins(head, "sy") && is_base64(head)) /* of the signature and a version of 2 */
        return "subunit v2 in base64: decode it first (base64 -d)";
    return NULL;
}

/*
 * ---- texts ----
 */

static bool is_text(struct mux_span head) {
    size_t odd = 0;
    for (size_t i = 0; i < head.len; i++) {
        uint8_t byte = head.data[i];
        if (byte == 0)
            return false;
        odd += byte < 0x20 && !strchr("\t\n\r\f\b\x1B", byte);
    }
    return odd * 20 <= head.len; /* some harm is in many logs */
}

/* The next line without its end. False: there is none. */
static bool next_line(struct mux_span *rest, struct mux_span *line) {
    if (rest->len == 0)
        return false;
    const uint8_t *newline = memchr(rest->data, '\n', rest->len);
    size_t len = newline ? (size_t)(newline - rest->data) : rest->len;
    *line = mux_span(rest->data, len);
    if (len && line->data[len - 1] == '\r')
        line->len--;
    len += newline != NULL;
    *rest = mux_span(rest->data + len, rest->len - len);
    return true;
}

static struct mux_span behind(struct mux_span line, const char *word) {
    return mux_span(line.data + strlen(word), line.len - strlen(word));
}

/* "ok", "ok 1 - name", "not ok 2", "1..9", "TAP version 13" */
static bool is_tap_line(struct mux_span line) {
    if (begins(line, "TAP version "))
        return true;
    if (begins(line, "not "))
        line = behind(line, "not ");
    if (begins(line, "ok"))
        return line.len == 2 || line.data[2] == ' ';
    return begins(line, "1..") && line.len > 3 && line.data[3] >= '0' && line.data[3] <= '9';
}

static const char *const v1_words[] = {
    "test:",  "testing:",   "success:",   "successful:", "failure:", "skip:",
    "xfail:", "knownfail:", "uxsuccess:", "tags:",       "progress:"};
static const char *const v1_outcomes[] = {"success ", "successful ", "failure ",   "error ",
                                          "skip ",    "xfail ",      "uxsuccess ", "knownfail "};

/* Behind one of the words; data NULL: it begins with none. */
static struct mux_span behind_one_of(struct mux_span line, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (begins(line, words[i]))
            return behind(line, words[i]);
    return mux_span(NULL, 0);
}

/* Old writers leave the colon out: then only a test and its outcome tell. */
static bool is_v1(struct mux_span head) {
    static const char *const tests[] = {"test ", "testing "};
    struct mux_span line, test = {NULL, 0};
    while (next_line(&head, &line)) {
        if (behind_one_of(line, v1_words, sizeof v1_words / sizeof *v1_words).data)
            return true;
        struct mux_span outcome =
            behind_one_of(line, v1_outcomes, sizeof v1_outcomes / sizeof *v1_outcomes);
        if (test.len && outcome.len >= test.len && memcmp(outcome.data, test.data, test.len) == 0)
            return true;
        struct mux_span begun = behind_one_of(line, tests, 2);
        if (begun.data)
            test = begun;
    }
    return false;
}

static bool is_tap(struct mux_span head) {
    struct mux_span line;
    while (next_line(&head, &line))
        if (is_tap_line(line))
            return true;
    return false;
}

static bool begins_without_case(struct mux_span bytes, const char *text) {
    return bytes.len >= strlen(text) &&
           strncasecmp((const char *)bytes.data, text, strlen(text)) == 0;
}

static const char *markup(struct mux_span text) {
    if (holds(text, "<testsuite"))
        return "JUnit XML, a report that was made of a run; muxd takes the run's stream itself";
    if (begins_without_case(text, "<!doctype html") || begins_without_case(text, "<html"))
        return "HTML, a web page";
    return begins(text, "<?xml") ? "XML" : NULL;
}

static const char *json(struct mux_span text) {
    if (holds(text, "\"test_id\"") || holds(text, "\"test_status\""))
        return "events as JSON: mux encode turns them into subunit v2";
    return "JSON";
}

static const char *kind_of_text(struct mux_span head) {
    struct mux_span text = head;
    while (text.len && strchr(" \t\r\n", *text.data))
        text = mux_span(text.data + 1, text.len - 1);
    if (text.len == 0)
        return "nothing but blanks";
    const char *kind = *text.data == '<' ? markup(text) : NULL;
    if (!kind && (*text.data == '{' || (*text.data == '[' && holds(text, "]") && holds(text, "{"))))
        kind = json(text);
    if (kind)
        return kind;
    if (begins(text, "TAP version "))
        return "TAP: tap2subunit turns it into subunit v2";
    if (is_v1(head))
        return "subunit v1: subunit-1to2 turns it into v2";
    if (is_tap(head))
        return "TAP: tap2subunit turns it into subunit v2";
    return "plain text";
}

const char *looks_like(struct mux_span head) {
    const char *what = looks_packed(head);
    if (!what)
        what = find_format(head, others, sizeof others / sizeof *others);
    if (!what && head.len && is_nuls(head))
        what = "nothing but NUL bytes, as a crash leaves them in a file";
    if (!what && is_utf16(head))
        what = "UTF-16 text, which PowerShell's > makes of everything: let a program write the "
               "file itself";
    if (!what)
        what = harmed_v2(head);
    if (!what)
        what = is_text(head) || is_v1(head) ? kind_of_text(head) : "binary data of some other kind";
    return what;
}
