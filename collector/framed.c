/* tollspan.collector._framed: see `collector/framed.py`.

   The bytes may be anybody's. Nothing is read before it is known to stand in front of `end`. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { OWN = 0x0A, MANY = 0x12, ADDRESS = 0x1A, MOST_BYTES = 5 };

typedef struct {
    const uint8_t *at, *end;
} Run;

typedef struct {
    int64_t *begins, *ends;
    Py_ssize_t count, room;
} Places;

/* The tag of the next field of a run and what is in it; 0 where there is none, or one that is not a length
   and as many bytes. */
static uint8_t
next(Run *run, Run *inside)
{
    const uint8_t *at = run->at;
    if (at == run->end) {
        return 0;
    }
    uint8_t tag = *at++;
    uint64_t size = 0;
    for (int place = 0; place < MOST_BYTES; place++) {
        if (at == run->end) {
            return 0;
        }
        uint8_t part = *at++;
        size |= (uint64_t)(part & 0x7F) << 7 * place;
        if (part < 0x80) {
            if (size > (uint64_t)(run->end - at)) {
                return 0;
            }
            *inside = (Run){at, at + size};
            run->at = at + size;
            return tag;
        }
    }
    return 0;
}

/* Whether a field may stand there, behind one of that tag: each in the order of its number, and once, but
   for those of which there are many. */
static bool
is_in_order(uint8_t before, uint8_t tag)
{
    return (tag == OWN || tag == MANY || tag == ADDRESS) &&
           (before < tag || (before == MANY && tag == MANY));
}

static bool
kept(Places *places, int64_t begin, int64_t end)
{
    if (places->count == places->room) {
        Py_ssize_t room = places->room ? 2 * places->room : 512;
        int64_t *begins = realloc(places->begins, (size_t)room * sizeof *begins);
        places->begins = begins ? begins : places->begins;
        int64_t *ends = realloc(places->ends, (size_t)room * sizeof *ends);
        places->ends = ends ? ends : places->ends;
        if (begins == NULL || ends == NULL) {
            PyErr_NoMemory();
            return false;
        }
        places->room = room;
    }
    places->begins[places->count] = begin;
    places->ends[places->count++] = end;
    return true;
}

/* Appends (resource, scope, begins, ends) of one scope; false where protobuf has to look. */
static bool
of_scope(const uint8_t *body, Run scope, Run resource, Places *places, PyObject *found)
{
    Run own = {scope.at, scope.at}, inside;
    uint8_t before = 0, tag;
    places->count = 0;
    for (; scope.at < scope.end; before = tag) {
        tag = next(&scope, &inside);
        if (!is_in_order(before, tag)) {
            return false;
        }
        if (tag == OWN) {
            own = inside;
        } else if (tag == MANY && !kept(places, inside.at - body, inside.end - body)) {
            return false;
        }
    }
    Py_ssize_t size = places->count * (Py_ssize_t)sizeof *places->begins;
    const char *begins = size ? (const char *)places->begins : "";
    const char *ends = size ? (const char *)places->ends : "";
    PyObject *each = Py_BuildValue("(y#y#y#y#)", resource.at, resource.end - resource.at, own.at,
                                   own.end - own.at, begins, size, ends, size);
    bool done = each != NULL && PyList_Append(found, each) == 0;
    Py_XDECREF(each);
    return done;
}

static bool
of_resource(const uint8_t *body, Run of, Places *places, PyObject *found)
{
    Run own = {of.at, of.at}, inside;
    uint8_t before = 0, tag;
    for (; of.at < of.end; before = tag) {
        tag = next(&of, &inside);
        if (!is_in_order(before, tag)) {
            return false;
        }
        if (tag == OWN) {
            own = inside;
        } else if (tag == MANY && !of_scope(body, inside, own, places, found)) {
            return false;
        }
    }
    return true;
}

static PyObject *
framed(PyObject *Py_UNUSED(module), PyObject *body)
{
    char *content;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(body, &content, &size) < 0) {
        return NULL;
    }
    PyObject *found = PyList_New(0);
    const uint8_t *begin = (const uint8_t *)content;
    Run request = {begin, begin + size}, inside;
    Places places = {0};
    bool fine = found != NULL;
    while (fine && request.at < request.end) {
        fine = next(&request, &inside) == OWN && of_resource(begin, inside, &places, found);
    }
    free(places.begins);
    free(places.ends);
    if (!fine) {
        Py_CLEAR(found);
    }
    if (found == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return found;
}

static PyMethodDef methods[] = {
    {"framed", framed, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "tollspan.collector._framed", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__framed(void)
{
    return PyModuleDef_Init(&module);
}
