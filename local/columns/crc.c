/* CRC-32 as zlib has it. Four times 128 bits at once where the processor multiplies without carries:
   V. Gopal and others, Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction,
   Intel, 2009; the numbers are its, for this polynomial in reflected order. */

#include "columns.h"

static uint32_t table[8][256];

static uint32_t
plain(uint32_t crc, const uint8_t *at, size_t size)
{
    for (; size >= 8; at += 8, size -= 8) {
        crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
               (uint32_t)at[3] << 24;
        crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^
              table[4][crc >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
              table[0][at[7]];
    }
    for (; size > 0; size--) {
        crc = crc >> 8 ^ table[0][(crc ^ *at++) & 255];
    }
    return crc;
}

#if defined(__GNUC__) && defined(__x86_64__)

#include <immintrin.h>

#define CARRYLESS __attribute__((target("pclmul,sse4.1")))

CARRYLESS static inline __m128i
loaded(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)at);
}

CARRYLESS static inline __m128i
folded(__m128i one, __m128i by, __m128i next)
{
    __m128i low = _mm_clmulepi64_si128(one, by, 0x00);
    return _mm_xor_si128(_mm_xor_si128(low, _mm_clmulepi64_si128(one, by, 0x11)), next);
}

/* Of 64 bytes or more, a multiple of 16. */
CARRYLESS static uint32_t
carryless(uint32_t crc, const uint8_t *at, size_t size)
{
    const __m128i by_four = _mm_set_epi64x(0x01C6E41596, 0x0154442BD4);
    const __m128i by_one = _mm_set_epi64x(0x00CCAA009E, 0x01751997D0);
    const __m128i low = _mm_set_epi32(0, -1, 0, -1);
    __m128i lane[4];
    for (int each = 0; each < 4; each++) {
        lane[each] = loaded(at + 16 * each);
    }
    lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi32_si128((int)crc));
    for (at += 64, size -= 64; size >= 64; at += 64, size -= 64) {
        for (int each = 0; each < 4; each++) {
            lane[each] = folded(lane[each], by_four, loaded(at + 16 * each));
        }
    }
    __m128i one = lane[0];
    for (int each = 1; each < 4; each++) {
        one = folded(one, by_one, lane[each]);
    }
    for (; size >= 16; at += 16, size -= 16) {
        one = folded(one, by_one, loaded(at));
    }
    /* 128 bits to 96 to 64, and from these what is left of a division (Barrett). */
    one = _mm_xor_si128(_mm_srli_si128(one, 8), _mm_clmulepi64_si128(one, by_one, 0x10));
    __m128i rest = _mm_srli_si128(one, 4);
    one = _mm_clmulepi64_si128(_mm_and_si128(one, low), _mm_set_epi64x(0, 0x0163CD6124), 0x00);
    one = _mm_xor_si128(one, rest);
    const __m128i divisor = _mm_set_epi64x(0x01F7011641, 0x01DB710641);
    rest = _mm_clmulepi64_si128(_mm_and_si128(one, low), divisor, 0x10);
    rest = _mm_clmulepi64_si128(_mm_and_si128(rest, low), divisor, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(one, rest), 1);
}

static bool is_carryless;

static void
look(void)
{
    __builtin_cpu_init();
    is_carryless = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

#else

enum { is_carryless = false };

static uint32_t
carryless(uint32_t crc, const uint8_t *Py_UNUSED(at), size_t Py_UNUSED(size))
{
    return crc;
}

static void
look(void)
{
}

#endif

void
crc_prepared(void)
{
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        }
        table[0][value] = crc;
    }
    for (uint32_t value = 0; value < 256; value++) {
        for (int place = 1; place < 8; place++) {
            uint32_t before = table[place - 1][value];
            table[place][value] = before >> 8 ^ table[0][before & 255];
        }
    }
    look();
}

uint32_t
crc32_of(const uint8_t *at, size_t size)
{
    uint32_t crc = 0xFFFFFFFFu;
    if (is_carryless && size >= 64) {
        size_t some = size & ~(size_t)15;
        crc = carryless(crc, at, some);
        at += some;
        size -= some;
    }
    return ~plain(crc, at, size);
}
