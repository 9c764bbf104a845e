/* One span, where nothing stands in it but ids, name, kind, times that the ledger can keep, attributes of
   less than 128 bytes, an empty status and flags, in the order of their numbers: as every encoder
   writes nearly all spans. Whatever is odd in any way is left to those who open spans one by one.

   Field numbers: opentelemetry-proto 1.45, trace.proto and common.proto; encoding:
   https://protobuf.dev/programming-guides/encoding/

   The bytes may be anybody's. Nothing is read before it is known to stand in front of `end`. */

#include <string.h>

#include "columns.h"

enum { KINDS = 6, MOST_DIGITS = 5 };

static uint64_t
number(const uint8_t *at)
{
    uint64_t found = 0;
    for (int place = 7; place >= 0; place--) {
        found = found << 8 | at[place];
    }
    return found;
}

static bool
any(const uint8_t *at)
{
    uint64_t found;
    memcpy(&found, at, 8);
    return found != 0;
}

/* Whether a value, from its length on, is one of its kind. Of kinds that are not known here only the
   length is; a count is a varint of up to five bytes, written with no more than it takes. */
static bool
is_value(const uint8_t *value)
{
    size_t size = value[0];
    switch (value[1]) {
    case TEXT:
        return value[2] == size - 2;
    case DOUBLE:
        return size == 9;
    case INT:
        for (size_t place = 2; place < size; place++) {
            if (value[place] < 0x80) {
                return false;
            }
        }
        return size <= MOST_DIGITS + 1 && value[size] < 0x80 && (value[size] > 0 || size == 2);
    default:
        return true;
    }
}

static bool
attribute_read(const uint8_t *at, const uint8_t *end, Attribute *found)
{
    /* tag, size, tag and size of the name, a byte of it, tag and size of the value, two bytes of it */
    if (end - at < 9 || at[1] >= 128 || end - at < 2 + at[1] || at[1] < 7 || at[2] != 0x0A) {
        return false;
    }
    size_t size = at[1], name = at[3];
    if (name < 1 || name + 6 > size || at[4 + name] != 0x12) {
        return false;
    }
    const uint8_t *value = at + 5 + name;
    if (value[0] < 2 || name + 4 + value[0] != size || !is_value(value)) {
        return false;
    }
    found->name = at + 4;
    found->name_size = (uint8_t)name;
    found->kind = value[1];
    found->value = found->kind == TEXT ? value + 2 : value;
    return true;
}

static const uint8_t *
head_read(const uint8_t *at, const uint8_t *end, Times times, Span *span)
{
    if (end - at < 30 || at[0] != 0x0A || at[1] != 16 || at[18] != 0x12 || at[19] != 8) {
        return NULL;
    }
    if (!(any(at + 2) || any(at + 10)) || !any(at + 20)) {
        return NULL;
    }
    at += 28;
    span->parent = NULL;
    if (at[0] == 0x22) {
        if (end - at < 12 || at[1] != 8 || !any(at + 2)) {
            return NULL;
        }
        span->parent = at + 2;
        at += 10;
    }
    if (at[0] != 0x2A || at[1] == 0 || at[1] >= 128 || end - at < 2 + at[1] + 18) {
        return NULL;
    }
    span->called = at + 1;
    at += 2 + at[1];
    span->kind = 0;
    if (at[0] == 0x30) {
        if (at[1] == 0 || at[1] >= KINDS) {
            return NULL;
        }
        span->kind = at[1];
        at += 2;
    }
    if (end - at < 18 || at[0] != 0x39 || at[9] != 0x41) {
        return NULL;
    }
    span->start_ns = number(at + 1);
    span->end_ns = number(at + 10);
    if (span->start_ns < times.earliest_ns || span->end_ns >= times.latest_ns ||
        span->end_ns < span->start_ns) {
        return NULL;
    }
    return at + 18;
}

bool
span_read(const uint8_t *begin, const uint8_t *end, Times times, Span *span)
{
    const uint8_t *at = head_read(begin, end, times, span);
    if (at == NULL) {
        return false;
    }
    for (span->count = 0; at < end && *at == 0x4A; span->count++) {
        if (span->count == MOST_ATTRIBUTES ||
            !attribute_read(at, end, &span->attributes[span->count])) {
            return false;
        }
        at += 2 + at[1];
    }
    span->content = begin + 28;
    span->size = (size_t)(at - span->content);
    if (end - at >= 2 && at[0] == 0x7A && at[1] == 0) {
        at += 2;
    }
    if (end - at >= 6 && at[0] == 0x85 && at[1] == 1) {
        at += 6;
    }
    return at == end;
}
