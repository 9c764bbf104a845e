/* Spans that say the same in the same order, found among many in one pass over their bytes. */

#include "columns.h"

typedef struct {
    Py_buffer *bodies;
    Py_ssize_t body_count, span_count;
    const int64_t *firsts, *begins, *ends;
    Times times;
    uint8_t *ids;
} Pass;

/* One pass over all spans. False: there is no memory left. */
static bool
gone_through(const Pass *pass, Shapes *shapes)
{
    Span span;
    memset(pass->ids, 0, (size_t)pass->span_count * ID_SIZE);
    for (Py_ssize_t of = 0; of < pass->body_count; of++) {
        const uint8_t *body = pass->bodies[of].buf;
        int64_t size = pass->bodies[of].len;
        for (int64_t row = pass->firsts[of]; row < pass->firsts[of + 1]; row++) {
            int64_t begin = pass->begins[row], end = pass->ends[row];
            if (begin < 0 || end > size || end - begin < 2 + ID_SIZE) {
                continue;
            }
            memcpy(pass->ids + row * ID_SIZE, body + begin + 2, ID_SIZE);
            if (span_read(body + begin, body + end, pass->times, &span) &&
                !shapes_add(shapes, &span, row)) {
                return false;
            }
        }
    }
    return true;
}

/* Where spans stand, as Python says it: whether it can be so. */
static bool
is_sound(const Pass *pass, Py_ssize_t firsts, Py_ssize_t ends)
{
    if (firsts != pass->body_count + 1 || ends != pass->span_count || pass->firsts[0] != 0 ||
        pass->firsts[pass->body_count] != pass->span_count) {
        return false;
    }
    for (Py_ssize_t of = 0; of < pass->body_count; of++) {
        if (pass->firsts[of] > pass->firsts[of + 1]) {
            return false;
        }
    }
    return true;
}

static PyObject *
sorted_out(Pass *pass, Shapes *shapes, size_t fewest)
{
    PyObject *ids = PyBytes_FromStringAndSize(NULL, pass->span_count * ID_SIZE);
    shapes->shapes = calloc(shapes->most ? shapes->most : 1, sizeof *shapes->shapes);
    if (ids == NULL || shapes->shapes == NULL) {
        Py_XDECREF(ids);
        return PyErr_NoMemory();
    }
    pass->ids = (uint8_t *)PyBytes_AS_STRING(ids);
    bool done;
    Py_BEGIN_ALLOW_THREADS
    done = gone_through(pass, shapes);
    Py_END_ALLOW_THREADS
    PyObject *found = done ? shapes_told(shapes, fewest) : PyErr_NoMemory();
    shapes_free(shapes);
    if (found == NULL) {
        Py_DECREF(ids);
        return NULL;
    }
    return Py_BuildValue("(NN)", ids, found);
}

PyObject *
alike(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *bodies, *found = NULL;
    Py_buffer firsts, begins, ends;
    unsigned long long earliest, latest;
    Py_ssize_t fewest, most, sample, different;
    if (!PyArg_ParseTuple(args, "O!y*y*y*KKnnnn", &PyList_Type, &bodies, &firsts, &begins, &ends,
                          &earliest, &latest, &fewest, &most, &sample, &different)) {
        return NULL;
    }
    Pass pass = {
        .body_count = PyList_GET_SIZE(bodies),
        .span_count = begins.len / 8,
        .firsts = firsts.buf,
        .begins = begins.buf,
        .ends = ends.buf,
        .times = {earliest, latest},
    };
    Shapes shapes = {.most = (size_t)most, .parting = {(size_t)sample, (size_t)different}};
    Py_ssize_t held = 0;
    pass.bodies = calloc((size_t)pass.body_count + 1, sizeof *pass.bodies);
    if (pass.bodies == NULL) {
        PyErr_NoMemory();
    } else if (!is_sound(&pass, firsts.len / 8, ends.len / 8)) {
        PyErr_SetString(PyExc_ValueError, "spans do not stand in these bodies");
    } else {
        while (held < pass.body_count &&
               PyObject_GetBuffer(PyList_GET_ITEM(bodies, held), &pass.bodies[held],
                                  PyBUF_SIMPLE) == 0) {
            held++;
        }
        if (held == pass.body_count) {
            found = sorted_out(&pass, &shapes, (size_t)fewest);
        }
    }
    while (held > 0) {
        PyBuffer_Release(&pass.bodies[--held]);
    }
    free(pass.bodies);
    PyBuffer_Release(&firsts);
    PyBuffer_Release(&begins);
    PyBuffer_Release(&ends);
    return found;
}
