/* Ids as hex digits; and ids of calls: when each began, and 8 bytes of BLAKE2b of its span's ids as hex digits (see
   `call.call_id`), which fit in one block. https://www.rfc-editor.org/rfc/rfc7693 */

#include "columns.h"

enum { IDS = 24, SIZE = 16, DIGEST = 8, ROUNDS = 12 };

static const char digits[] = "0123456789abcdef";

static const uint64_t start[8] = {
    0x6A09E667F3BCC908u, 0xBB67AE8584CAA73Bu, 0x3C6EF372FE94F82Bu, 0xA54FF53A5F1D36F1u,
    0x510E527FADE682D1u, 0x9B05688C2B3E6C1Fu, 0x1F83D9ABFB41BD6Bu, 0x5BE0CD19137E2179u,
};

static const uint8_t order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint64_t
turned(uint64_t value, int by)
{
    return value >> by | value << (64 - by);
}

static inline void
mixed(uint64_t *v, int a, int b, int c, int d, uint64_t one, uint64_t other)
{
    v[a] += v[b] + one;
    v[d] = turned(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = turned(v[b] ^ v[c], 24);
    v[a] += v[b] + other;
    v[d] = turned(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = turned(v[b] ^ v[c], 63);
}

/* The digest of the only block, so many bytes of which are a message. */
static uint64_t
digested(const uint64_t *block, size_t size)
{
    uint64_t v[16];
    for (int at = 0; at < 8; at++) {
        v[at] = v[at + 8] = start[at];
    }
    v[0] ^= 0x01010000u ^ DIGEST; /* no key, one leaf */
    uint64_t first = v[0];
    v[12] ^= size;
    v[14] = ~v[14];
#if defined(__GNUC__)
#pragma GCC unroll 12 /* so that all numbers of `order` are known */
#endif
    for (int round = 0; round < ROUNDS; round++) {
        const uint8_t *s = order[round % 10];
        mixed(v, 0, 4, 8, 12, block[s[0]], block[s[1]]);
        mixed(v, 1, 5, 9, 13, block[s[2]], block[s[3]]);
        mixed(v, 2, 6, 10, 14, block[s[4]], block[s[5]]);
        mixed(v, 3, 7, 11, 15, block[s[6]], block[s[7]]);
        mixed(v, 0, 5, 10, 15, block[s[8]], block[s[9]]);
        mixed(v, 1, 6, 11, 12, block[s[10]], block[s[11]]);
        mixed(v, 2, 7, 8, 13, block[s[12]], block[s[13]]);
        mixed(v, 3, 4, 9, 14, block[s[14]], block[s[15]]);
    }
    return first ^ v[0] ^ v[8];
}

static void
id_made(uint8_t *to, const uint8_t *ids, uint64_t began)
{
    uint64_t block[16] = {0};
    for (int at = 0; at < IDS; at++) { /* little-endian, whatever the machine is */
        uint64_t both = (uint64_t)(digits[ids[at] >> 4] | digits[ids[at] & 15] << 8);
        block[at / 4] |= both << 16 * (at % 4);
    }
    uint64_t digest = digested(block, 2 * IDS);
    for (int at = 0; at < 8; at++) {
        to[at] = (uint8_t)(began >> 8 * (7 - at));
        to[8 + at] = (uint8_t)(digest >> 8 * at);
    }
}

PyObject *
call_ids(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer ids, starts;
    if (!PyArg_ParseTuple(args, "y*y*", &ids, &starts)) {
        return NULL;
    }
    Py_ssize_t count = starts.len / 8;
    PyObject *found = NULL;
    if (ids.len != count * IDS) {
        PyErr_SetString(PyExc_ValueError, "not as many ids as starts");
    } else {
        found = PyBytes_FromStringAndSize(NULL, count * SIZE);
    }
    if (found != NULL) {
        uint8_t *to = (uint8_t *)PyBytes_AS_STRING(found);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t at = 0; at < count; at++) {
            id_made(to + SIZE * at, (const uint8_t *)ids.buf + IDS * at,
                    ((const uint64_t *)starts.buf)[at]);
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&ids);
    PyBuffer_Release(&starts);
    return found;
}

PyObject *
hexed(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer ids;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y*n", &ids, &size)) {
        return NULL;
    }
    PyObject *found = NULL;
    if (size < 1 || size > 63 || ids.len % size) {
        PyErr_SetString(PyExc_ValueError, "no ids of that size");
    } else {
        found = PyBytes_FromStringAndSize(NULL, ids.len * 2 + ids.len / size);
    }
    if (found != NULL) {
        const uint8_t *at = ids.buf;
        char *to = PyBytes_AS_STRING(found);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t left = ids.len / size; left > 0; left--) {
            *to++ = (char)(2 * size);
            for (Py_ssize_t byte = 0; byte < size; byte++, at++) {
                *to++ = digits[*at >> 4];
                *to++ = digits[*at & 15];
            }
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&ids);
    return found;
}
