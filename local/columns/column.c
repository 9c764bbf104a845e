/* Values of one attribute, each kept once, and which of them each row has. */

#include <string.h>

#include "columns.h"

enum { FIRST_ROOM = 16, MOST_LOOKS = 32 };

/* Room for `wanted` things of `size` bytes in `*at`, which has it for `*room`. */
static bool
grown(void *at, size_t *room, size_t wanted, size_t size)
{
    if (wanted <= *room) {
        return true;
    }
    size_t more = *room ? *room : FIRST_ROOM;
    while (more < wanted) {
        more *= 2;
    }
    void **place = at;
    void *found = realloc(*place, more * size);
    if (found == NULL) {
        return false;
    }
    *place = found;
    *room = more;
    return true;
}

/* A hash that is quick. Nobody is harmed by values that are made to share one: see `MOST_LOOKS`. */
uint32_t
hashed(const uint8_t *value, size_t size)
{
    uint64_t found = 0x9E3779B97F4A7C15u ^ size, lane;
    for (; size >= 8; value += 8, size -= 8) {
        memcpy(&lane, value, 8);
        found = (found ^ lane) * 0xFF51AFD7ED558CCDu;
        found ^= found >> 32;
    }
    for (lane = 0; size > 0; size--) {
        lane = lane << 8 | *value++;
    }
    found = (found ^ lane) * 0xC4CEB9FE1A85EC53u;
    return (uint32_t)(found ^ found >> 32);
}

static bool
is_value(const Column *column, size_t code, const uint8_t *value, size_t size)
{
    uint32_t begin = code ? column->ends[code - 1] : 0;
    return column->ends[code] - begin == size && same(column->data + begin, value, size);
}

static bool
slots_grown(Column *column)
{
    size_t room = column->slots_room ? 4 * column->slots_room : 4 * FIRST_ROOM;
    Slot *slots = calloc(room, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (const Slot *slot = column->slots; slot < column->slots + column->slots_room; slot++) {
        if (slot->number) {
            size_t at = slot->hash & (room - 1);
            while (slots[at].number) {
                at = (at + 1) & (room - 1);
            }
            slots[at] = *slot;
        }
    }
    free(column->slots);
    column->slots = slots;
    column->slots_room = room;
    return true;
}

/* The slot of a value, or the empty one where it belongs; NULL where that takes too many looks. */
static Slot *
slot_of(Column *column, uint32_t hash, const uint8_t *value, size_t size)
{
    size_t at = hash & (column->slots_room - 1);
    for (int looks = 0; looks < MOST_LOOKS; looks++) {
        Slot *slot = &column->slots[at];
        if (slot->number == 0 ||
            (slot->hash == hash && is_value(column, slot->number - 1, value, size))) {
            return slot;
        }
        at = (at + 1) & (column->slots_room - 1);
    }
    return NULL;
}

static bool
value_kept(Column *column, const uint8_t *value, size_t size)
{
    if (!grown(&column->data, &column->room, column->used + size, 1) ||
        !grown(&column->ends, &column->ends_room, column->count + 1, sizeof *column->ends)) {
        return false;
    }
    memcpy(column->data + column->used, value, size);
    column->used += size;
    column->ends[column->count++] = (uint32_t)column->used;
    return true;
}

/* Which value it is, a new one where it has not been there; -1 without memory. */
int32_t
column_code(Column *column, const uint8_t *value, size_t size)
{
    Slot *slot = NULL;
    if (!column->apart) {
        if (2 * (column->count + 1) > column->slots_room && !slots_grown(column)) {
            return -1;
        }
        uint32_t hash = hashed(value, size);
        slot = slot_of(column, hash, value, size);
        if (slot != NULL && slot->number != 0) {
            return (int32_t)slot->number - 1;
        }
        if (slot != NULL) {
            slot->hash = hash;
        }
        column->apart = slot == NULL;
    }
    if (!value_kept(column, value, size)) {
        return -1;
    }
    if (slot != NULL) {
        slot->number = (uint32_t)column->count;
    }
    return (int32_t)column->count - 1;
}

/* Room for the codes of so many rows. */
bool
column_grown(Column *column, size_t rows)
{
    int32_t *codes = realloc(column->codes, rows * sizeof *codes);
    if (codes == NULL) {
        return false;
    }
    column->codes = codes;
    return true;
}

/* (codes, values, where each ends), as bytes. */
PyObject *
column_told(const Column *column, size_t rows)
{
    return Py_BuildValue(
        "(y#y#y#)", (char *)column->codes, (Py_ssize_t)(rows * sizeof *column->codes),
        (char *)column->data, (Py_ssize_t)column->used, (char *)column->ends,
        (Py_ssize_t)(column->count * sizeof *column->ends));
}

void
column_free(Column *column)
{
    free(column->codes);
    free(column->data);
    free(column->ends);
    free(column->slots);
}
