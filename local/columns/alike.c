/* Spans that say the same in the same order, found among many in one pass over their bytes. */

#include "columns.h"

typedef struct {
    uint64_t start_ns, end_ns;
    int64_t row, size, crc;
} Line; /* of a span what no two have in common */

typedef struct {
    uint32_t hash;
    uint8_t kind;
    bool has_parent;
    int count;
    Attribute attributes[MOST_ATTRIBUTES]; /* of its first span */
    Column columns[MOST_ATTRIBUTES + 1];   /* the last one: what spans are called */
    Line *lines;
    uint8_t *parents;
    size_t rows, room;
} Shape;

typedef struct {
    size_t sample, different;
} Parting;

typedef struct {
    Shape **shapes;
    size_t count, most, last;
    Parting parting;
} Shapes;

typedef struct {
    Py_buffer *bodies;
    Py_ssize_t body_count, span_count;
    const int64_t *firsts, *begins, *ends;
    Times times;
    uint8_t *ids;
} Pass;

static bool
has_shape(const Shape *shape, const Span *span)
{
    if (shape->count != span->count || shape->kind != span->kind ||
        shape->has_parent != (span->parent != NULL)) {
        return false;
    }
    for (int at = 0; at < span->count; at++) {
        const Attribute *own = &shape->attributes[at], *other = &span->attributes[at];
        if (own->kind != other->kind || own->name_size != other->name_size ||
            !same(own->name, other->name, own->name_size)) {
            return false;
        }
    }
    return true;
}

static uint32_t
hash_of(const Span *span)
{
    uint32_t found = (uint32_t)(span->kind << 1 | (span->parent != NULL));
    for (int at = 0; at < span->count; at++) {
        const Attribute *each = &span->attributes[at];
        found = found * 31 + (hashed(each->name, each->name_size) ^ each->kind);
    }
    return found;
}

/* The shape of a span, a new one where there is room; NULL where there is none. */
static Shape *
shape_of(Shapes *shapes, const Span *span)
{
    if (shapes->count && has_shape(shapes->shapes[shapes->last], span)) {
        return shapes->shapes[shapes->last];
    }
    uint32_t hash = hash_of(span);
    for (size_t at = 0; at < shapes->count; at++) {
        if (shapes->shapes[at]->hash == hash && has_shape(shapes->shapes[at], span)) {
            shapes->last = at;
            return shapes->shapes[at];
        }
    }
    Shape *made = shapes->count < shapes->most ? calloc(1, sizeof *made) : NULL;
    if (made == NULL) {
        return NULL;
    }
    made->hash = hash;
    made->kind = span->kind;
    made->has_parent = span->parent != NULL;
    made->count = span->count;
    memcpy(made->attributes, span->attributes, (size_t)span->count * sizeof *span->attributes);
    shapes->last = shapes->count;
    shapes->shapes[shapes->count++] = made;
    return made;
}

static bool
shape_grown(Shape *shape)
{
    size_t room = shape->room ? 2 * shape->room : 16;
    Line *lines = realloc(shape->lines, room * sizeof *lines);
    if (lines == NULL) {
        return false;
    }
    shape->lines = lines;
    if (shape->has_parent) {
        uint8_t *parents = realloc(shape->parents, room * 8);
        if (parents == NULL) {
            return false;
        }
        shape->parents = parents;
    }
    bool fine = column_grown(&shape->columns[MOST_ATTRIBUTES], room);
    for (int at = 0; fine && at < shape->count; at++) {
        fine = column_grown(&shape->columns[at], room);
    }
    shape->room = fine ? room : shape->room;
    return fine;
}

/* Where so many of the first rows have values that differ, all stand apart from now on. */
static void
parted(Shape *shape, const Parting *parting)
{
    for (int at = 0; at <= MOST_ATTRIBUTES; at++) {
        shape->columns[at].apart |= shape->columns[at].count > parting->different;
    }
}

static bool
span_added(Shape *shape, const Span *span, int64_t number, const Parting *parting)
{
    size_t row = shape->rows;
    if (row == shape->room && !shape_grown(shape)) {
        return false;
    }
    if (row == parting->sample) {
        parted(shape, parting);
    }
    for (int at = 0; at < span->count; at++) {
        if (!column_add(&shape->columns[at], row, span->attributes[at].value)) {
            return false;
        }
    }
    if (shape->has_parent) {
        memcpy(shape->parents + 8 * row, span->parent, 8);
    }
    int64_t crc = crc32_of(span->content, span->size);
    shape->lines[row] = (Line){span->start_ns, span->end_ns, number, (int64_t)span->size, crc};
    shape->rows++;
    return column_add(&shape->columns[MOST_ATTRIBUTES], row, span->called);
}

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
            if (!span_read(body + begin, body + end, pass->times, &span)) {
                continue;
            }
            Shape *shape = shape_of(shapes, &span);
            if (shape != NULL && !span_added(shape, &span, row, &shapes->parting)) {
                return false;
            }
        }
    }
    return true;
}

static PyObject *
names_told(const Shape *shape)
{
    PyObject *found = PyTuple_New(shape->count);
    for (int at = 0; found != NULL && at < shape->count; at++) {
        const Attribute *each = &shape->attributes[at];
        PyObject *name = Py_BuildValue("(y#i)", (const char *)each->name,
                                       (Py_ssize_t)each->name_size, (int)each->kind);
        if (name == NULL) {
            Py_CLEAR(found);
        } else {
            PyTuple_SET_ITEM(found, at, name);
        }
    }
    return found;
}

static PyObject *
columns_told(const Shape *shape)
{
    PyObject *found = PyTuple_New(shape->count);
    for (int at = 0; found != NULL && at < shape->count; at++) {
        PyObject *column = column_told(&shape->columns[at], shape->rows);
        if (column == NULL) {
            Py_CLEAR(found);
        } else {
            PyTuple_SET_ITEM(found, at, column);
        }
    }
    return found;
}

static PyObject *
shape_told(const Shape *shape)
{
    PyObject *names = names_told(shape);
    PyObject *columns = names ? columns_told(shape) : NULL;
    PyObject *called = columns ? column_told(&shape->columns[MOST_ATTRIBUTES], shape->rows) : NULL;
    if (called == NULL) {
        Py_XDECREF(names);
        Py_XDECREF(columns);
        return NULL;
    }
    return Py_BuildValue("(iNNNy#y#)", (int)shape->kind, names, columns, called,
                         (const char *)shape->lines,
                         (Py_ssize_t)(shape->rows * sizeof *shape->lines),
                         (const char *)shape->parents,
                         (Py_ssize_t)(shape->has_parent ? 8 * shape->rows : 0));
}

static PyObject *
told(const Shapes *shapes, size_t fewest)
{
    PyObject *found = PyList_New(0);
    for (size_t at = 0; found != NULL && at < shapes->count; at++) {
        if (shapes->shapes[at]->rows < fewest) {
            continue;
        }
        PyObject *each = shape_told(shapes->shapes[at]);
        if (each == NULL || PyList_Append(found, each) < 0) {
            Py_CLEAR(found);
        }
        Py_XDECREF(each);
    }
    return found;
}

static void
shapes_free(Shapes *shapes)
{
    for (size_t at = 0; at < shapes->count; at++) {
        Shape *shape = shapes->shapes[at];
        for (int column = 0; column <= MOST_ATTRIBUTES; column++) {
            column_free(&shape->columns[column]);
        }
        free(shape->lines);
        free(shape->parents);
        free(shape);
    }
    free(shapes->shapes);
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
    PyObject *found = done ? told(shapes, fewest) : PyErr_NoMemory();
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
