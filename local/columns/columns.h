/* What a span is taken apart into, and what the values of many are kept in. */

#ifndef TOLLSPAN_COLUMNS_H
#define TOLLSPAN_COLUMNS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Whether so many bytes are the same. Most are few: loads that overlap are made sooner than a call. */
static inline bool
same(const uint8_t *one, const uint8_t *other, size_t size)
{
    if (size > 32) {
        return memcmp(one, other, size) == 0;
    }
    if (size >= 8) {
        for (; size > 8; one += 8, other += 8, size -= 8) {
            if (memcmp(one, other, 8) != 0) {
                return false;
            }
        }
        return memcmp(one + size - 8, other + size - 8, 8) == 0; /* some of them once more */
    }
    for (size_t at = 0; at < size; at++) {
        if (one[at] != other[at]) {
            return false;
        }
    }
    return true;
}

/* --- column.c: values, each once, and which of them each row has --------------------------------- */

typedef struct {
    uint32_t hash, number; /* code + 1 of the value, 0 where there is none */
} Slot;

typedef struct {
    int32_t *codes; /* of each row */
    uint8_t *data;  /* the values, each behind its length */
    uint32_t *ends; /* of each value in `data` */
    Slot *slots;    /* by their hashes, of values that do not stand apart */
    size_t count, ends_room, used, room, slots_room;
    const uint8_t *last; /* the value of the row before */
    size_t last_size;
    bool apart; /* rows seem to have a value each, and are not asked any more which ones are the same */
} Column;

uint32_t hashed(const uint8_t *value, size_t size);
int32_t column_code(Column *column, const uint8_t *value, size_t size);
bool column_grown(Column *column, size_t rows);
PyObject *column_told(const Column *column, size_t rows);
void column_free(Column *column);

/* The value of one more row, from its length on, for which there is room. False: there is no memory
   left. Mostly the value is that of the row before. */
static inline bool
column_add(Column *column, size_t row, const uint8_t *value)
{
    size_t size = 1 + (size_t)*value;
    bool again = !column->apart && size == column->last_size && same(value, column->last, size);
    int32_t code = again ? column->codes[row - 1] : column_code(column, value, size);
    column->codes[row] = code;
    column->last = value;
    column->last_size = size;
    return code >= 0;
}

/* --- span.c: one span ---------------------------------------------------------------------------- */

enum { TEXT = 0x0A, INT = 0x18, DOUBLE = 0x21, MOST_ATTRIBUTES = 64, ID_SIZE = 26 };

typedef struct {
    const uint8_t *name;  /* behind its length */
    const uint8_t *value; /* its length; of all but texts the tag of its kind is a part of it */
    uint8_t name_size, kind;
} Attribute;

typedef struct {
    uint8_t kind;
    const uint8_t *parent; /* 8 bytes, or NULL */
    const uint8_t *called; /* its length, and its name */
    uint64_t start_ns, end_ns;
    const uint8_t *content; /* from behind its ids to the end of its attributes */
    size_t size;            /* of that */
    int count;
    Attribute attributes[MOST_ATTRIBUTES];
} Span;

typedef struct {
    uint64_t earliest_ns, latest_ns;
} Times; /* that the ledger can keep: from the one to before the other */

bool span_read(const uint8_t *at, const uint8_t *end, Times times, Span *span);

/* --- crc.c ---------------------------------------------------------------------------------------- */

void crc_prepared(void);
uint32_t crc32_of(const uint8_t *at, size_t size);

/* --- shape.c -------------------------------------------------------------------------------------- */

typedef struct {
    size_t sample, different;
} Parting; /* where so many of the first spans have values that differ, these stand apart */

typedef struct {
    struct Shape **shapes;
    size_t count, most, last;
    Parting parting;
} Shapes; /* room for `most` in `shapes` */

bool shapes_add(Shapes *shapes, const Span *span, int64_t number);
PyObject *shapes_told(const Shapes *shapes, size_t fewest);
void shapes_free(Shapes *shapes);

/* --- what Python calls --------------------------------------------------------------------------- */

PyObject *alike(PyObject *module, PyObject *args);
PyObject *call_ids(PyObject *module, PyObject *args);
PyObject *crc32(PyObject *module, PyObject *args);
PyObject *hexed(PyObject *module, PyObject *args);
PyObject *laid(PyObject *module, PyObject *args);
PyObject *texts(PyObject *module, PyObject *args);

#endif
