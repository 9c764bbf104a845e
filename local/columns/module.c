/* tollspan.local._columns: see `local/_columns.pyi`. */

#include "columns.h"

/* What `alike` says of each span, of any bytes: so that it can be held to zlib's. */
PyObject *
crc32(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "y*", &data)) {
        return NULL;
    }
    uint32_t found = crc32_of(data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(found);
}

static PyMethodDef methods[] = {
    {"alike", alike, METH_VARARGS, NULL},
    {"call_ids", call_ids, METH_VARARGS, NULL},
    {"crc32", crc32, METH_VARARGS, NULL},
    {"hexed", hexed, METH_VARARGS, NULL},
    {"laid", laid, METH_VARARGS, NULL},
    {"texts", texts, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "tollspan.local._columns", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__columns(void)
{
    crc_prepared();
    return PyModuleDef_Init(&module);
}
