/* Spans that have the same attributes in the same order, what they say in columns. */

#include "columns.h"

typedef struct {
    uint64_t start_ns, end_ns;
    int64_t row, size, crc;
} Line; /* of a span what no two have in common */

typedef struct Shape {
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

/* Keeps what one more span says, or leaves it out where there are too many shapes. False: there is no memory
   left. */
bool
shapes_add(Shapes *shapes, const Span *span, int64_t number)
{
    Shape *shape = shape_of(shapes, span);
    return shape == NULL || span_added(shape, span, number, &shapes->parting);
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

/* Of each that so many spans have, see `Shape` in `_columns.pyi`. */
PyObject *
shapes_told(const Shapes *shapes, size_t fewest)
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

void
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
