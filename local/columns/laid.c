/* Values of many columns laid one behind the other, as the engine's Native format has strings. */

#include <string.h>

#include "columns.h"

#define MISFIT "codes and values do not fit"

typedef struct {
    Py_buffer data, ends, codes;
    const uint32_t *last; /* where each value ends in `data` */
    const int32_t *code;  /* which of them each row has */
} Values;

static void
values_free(Values *values, size_t count)
{
    for (size_t at = 0; at < count; at++) {
        PyBuffer_Release(&values[at].data);
        PyBuffer_Release(&values[at].ends);
        PyBuffer_Release(&values[at].codes);
    }
    PyMem_Free(values);
}

/* Adds to the size of each row that of its value; false where the values cannot be, of so many rows. */
static bool
is_sound(const Values *values, int64_t *sizes, Py_ssize_t rows)
{
    uint32_t count = (uint32_t)(values->ends.len / 4), before = 0;
    for (uint32_t at = 0; at < count; before = values->last[at++]) {
        if (values->last[at] < before || values->last[at] > values->data.len) {
            return false;
        }
    }
    if (values->codes.len != 4 * rows) {
        return false;
    }
    for (Py_ssize_t row = 0; row < rows; row++) {
        uint32_t code = (uint32_t)values->code[row];
        if (code >= count) {
            return false;
        }
        sizes[row] += values->last[code] - (code ? values->last[code - 1] : 0);
    }
    return true;
}

/* Most values are short: two copies that overlap are made sooner than a call. */
static inline uint8_t *
copied(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size > 32) {
        memcpy(to, from, size);
    } else if (size > 16) {
        memcpy(to, from, 16);
        memcpy(to + size - 16, from + size - 16, 16);
    } else if (size > 8) {
        memcpy(to, from, 8);
        memcpy(to + size - 8, from + size - 8, 8);
    } else if (size > 4) {
        memcpy(to, from, 4);
        memcpy(to + size - 4, from + size - 4, 4);
    } else {
        for (size_t at = 0; at < size; at++) {
            to[at] = from[at];
        }
    }
    return to + size;
}

static inline uint8_t *
value_laid(uint8_t *to, const Values *values, Py_ssize_t row)
{
    uint32_t code = (uint32_t)values->code[row];
    uint32_t begin = code ? values->last[code - 1] : 0;
    return copied(to, (const uint8_t *)values->data.buf + begin, values->last[code] - begin);
}

/* Values from Python: a sequence of (data, ends, codes). */
static Values *
values_of(PyObject *columns, size_t *count)
{
    PyObject *each = PySequence_Fast(columns, "columns: no sequence");
    if (each == NULL) {
        return NULL;
    }
    Py_ssize_t wanted = PySequence_Fast_GET_SIZE(each), at = 0;
    Values *found = PyMem_Calloc((size_t)wanted + 1, sizeof *found);
    for (; found != NULL && at < wanted; at++) {
        Values *one = &found[at];
        if (!PyArg_ParseTuple(PySequence_Fast_GET_ITEM(each, at), "y*y*y*", &one->data, &one->ends,
                              &one->codes)) {
            break;
        }
        one->last = one->ends.buf;
        one->code = one->codes.buf;
    }
    Py_DECREF(each);
    if (found == NULL) {
        PyErr_NoMemory();
    } else if (at < wanted) {
        values_free(found, (size_t)at);
        return NULL;
    }
    *count = (size_t)wanted;
    return found;
}

typedef struct {
    Values *values;
    size_t count;
    Py_ssize_t rows;
} Group;

static void
groups_free(Group *groups, Py_ssize_t count)
{
    for (Py_ssize_t at = 0; at < count; at++) {
        values_free(groups[at].values, groups[at].count);
    }
    PyMem_Free(groups);
}

/* Groups from Python, and how many rows they have. */
static Group *
groups_of(PyObject *told, Py_ssize_t *rows)
{
    Py_ssize_t count = PyList_GET_SIZE(told);
    Group *groups = PyMem_Calloc((size_t)count + 1, sizeof *groups);
    if (groups == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *rows = 0;
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *columns;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(told, at), "nO", &groups[at].rows, &columns) ||
            (groups[at].values = values_of(columns, &groups[at].count)) == NULL) {
            groups_free(groups, at);
            return NULL;
        }
        groups[at].rows = Py_MAX(groups[at].rows, 0);
        *rows += groups[at].rows;
    }
    return groups;
}

/* From the sizes of all rows, one group behind the other, where each begins where they stand in this order,
   and the size of all; -1 where it has not each of them once. */
static int64_t
placed(int64_t *sizes, Py_ssize_t rows, const int64_t *order)
{
    int64_t before = 0;
    for (Py_ssize_t at = 0; at < rows; at++) {
        int64_t row = order ? order[at] : at;
        if (row < 0 || row >= rows || sizes[row] < 0) {
            return -1;
        }
        int64_t size = sizes[row];
        sizes[row] = ~before; /* below zero: this one has its place */
        before += size;
    }
    return before;
}

/* Row after row as they came, each to its place: so all columns are read from front to back. */
static void
rows_laid(uint8_t *to, const Group *groups, Py_ssize_t count, const int64_t *places)
{
    for (const Group *group = groups; group < groups + count; group++) {
        for (Py_ssize_t row = 0; row < group->rows; row++) {
            uint8_t *at = to + ~*places++;
            for (size_t column = 0; column < group->count; column++) {
                at = value_laid(at, &group->values[column], row);
            }
        }
    }
}

static PyObject *
laid_out(const Group *groups, Py_ssize_t count, Py_ssize_t rows, const int64_t *order)
{
    int64_t *sizes = PyMem_Calloc((size_t)rows + 1, sizeof *sizes), *own = sizes;
    if (sizes == NULL) {
        return PyErr_NoMemory();
    }
    bool sound = true;
    for (const Group *group = groups; group < groups + count; own += group->rows, group++) {
        for (size_t at = 0; sound && at < group->count; at++) {
            sound = is_sound(&group->values[at], own, group->rows);
        }
    }
    int64_t size = sound ? placed(sizes, rows, order) : -1;
    PyObject *found = NULL;
    if (size < 0) {
        PyErr_SetString(PyExc_ValueError, sound ? "the order has not each row once" : MISFIT);
    } else {
        found = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    }
    if (found != NULL) {
        Py_BEGIN_ALLOW_THREADS
        rows_laid((uint8_t *)PyBytes_AS_STRING(found), groups, count, sizes);
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(sizes);
    return found;
}

PyObject *
laid(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *told, *found = NULL;
    Py_buffer order = {0};
    Py_ssize_t rows;
    if (!PyArg_ParseTuple(args, "O!|y*", &PyList_Type, &told, &order)) {
        return NULL;
    }
    Group *groups = groups_of(told, &rows);
    if (groups != NULL && order.obj != NULL && order.len != 8 * rows) {
        PyErr_SetString(PyExc_ValueError, "the order is not one of all rows");
    } else if (groups != NULL) {
        found = laid_out(groups, PyList_GET_SIZE(told), rows, order.buf);
    }
    if (groups != NULL) {
        groups_free(groups, PyList_GET_SIZE(told));
    }
    PyBuffer_Release(&order);
    return found;
}

/* Of strings in Arrow's layout each behind its length, where none is longer than 127 bytes; NULL else. */
static PyObject *
behind_lengths(const uint8_t *data, Py_ssize_t size, const int32_t *offsets, Py_ssize_t count)
{
    for (Py_ssize_t at = 0; at < count; at++) {
        int64_t length = (int64_t)offsets[at + 1] - offsets[at];
        if (offsets[at] < 0 || length < 0 || length > 127 || offsets[at + 1] > size) {
            PyErr_SetString(PyExc_ValueError, "texts are too long, or not there");
            return NULL;
        }
    }
    PyObject *found = PyBytes_FromStringAndSize(NULL, offsets[count] - offsets[0] + count);
    uint8_t *to = found ? (uint8_t *)PyBytes_AS_STRING(found) : NULL;
    for (Py_ssize_t at = 0; found && at < count; at++) {
        size_t length = (size_t)(offsets[at + 1] - offsets[at]);
        *to = (uint8_t)length;
        to = copied(to + 1, data + offsets[at], length);
    }
    return found;
}

PyObject *
texts(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data, offsets;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "y*y*n", &data, &offsets, &count)) {
        return NULL;
    }
    PyObject *found = NULL;
    if (count < 0 || offsets.len / 4 < count + 1) {
        PyErr_SetString(PyExc_ValueError, "not as many texts");
    } else {
        found = behind_lengths(data.buf, data.len, offsets.buf, count);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&offsets);
    return found;
}
