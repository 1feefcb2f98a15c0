/* MD5 (RFC 1321) in one header: small, no heap, any byte order.
 *
 *     struct md5 md5;
 *     md5_begin(&md5);
 *     md5_add(&md5, data, length);      as often as needed
 *     md5_end(&md5, text);              32 lower-case hex digits and a NUL
 *
 * It finds transmission errors. It keeps nobody from forging an image.
 */
#ifndef MD5_H
#define MD5_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MD5_TEXT 33

struct md5 {
    uint32_t state[4];
    uint64_t length;
    unsigned char block[64];
};

static uint32_t md5_rotated(uint32_t word, unsigned bits)
{
    return (word << bits) | (word >> (32u - bits));
}

static void md5_mix(struct md5 *md5)
{
    /* floor(2^32 * |sin(i + 1)|) */
    static const uint32_t sines[64] = {
        0xd76aa478u, 0xe8c7b756u, 0x242070dbu, 0xc1bdceeeu, 0xf57c0fafu, 0x4787c62au,
        0xa8304613u, 0xfd469501u, 0x698098d8u, 0x8b44f7afu, 0xffff5bb1u, 0x895cd7beu,
        0x6b901122u, 0xfd987193u, 0xa679438eu, 0x49b40821u, 0xf61e2562u, 0xc040b340u,
        0x265e5a51u, 0xe9b6c7aau, 0xd62f105du, 0x02441453u, 0xd8a1e681u, 0xe7d3fbc8u,
        0x21e1cde6u, 0xc33707d6u, 0xf4d50d87u, 0x455a14edu, 0xa9e3e905u, 0xfcefa3f8u,
        0x676f02d9u, 0x8d2a4c8au, 0xfffa3942u, 0x8771f681u, 0x6d9d6122u, 0xfde5380cu,
        0xa4beea44u, 0x4bdecfa9u, 0xf6bb4b60u, 0xbebfbc70u, 0x289b7ec6u, 0xeaa127fau,
        0xd4ef3085u, 0x04881d05u, 0xd9d4d039u, 0xe6db99e5u, 0x1fa27cf8u, 0xc4ac5665u,
        0xf4292244u, 0x432aff97u, 0xab9423a7u, 0xfc93a039u, 0x655b59c3u, 0x8f0ccc92u,
        0xffeff47du, 0x85845dd1u, 0x6fa87e4fu, 0xfe2ce6e0u, 0xa3014314u, 0x4e0811a1u,
        0xf7537e82u, 0xbd3af235u, 0x2ad7d2bbu, 0xeb86d391u
    };
    static const unsigned char shifts[4][4] = { { 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 } };
    uint32_t words[16];
    uint32_t a = md5->state[0], b = md5->state[1], c = md5->state[2], d = md5->state[3];
    unsigned i;

    for (i = 0; i < 16; i++) {
        const unsigned char *byte = md5->block + 4 * i;
        words[i] = (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
    }
    for (i = 0; i < 64; i++) {
        uint32_t mixed, next;
        unsigned word;

        switch (i / 16) {
        case 0:
            mixed = (b & c) | (~b & d);
            word = i;
            break;
        case 1:
            mixed = (b & d) | (c & ~d);
            word = 5 * i + 1;
            break;
        case 2:
            mixed = b ^ c ^ d;
            word = 3 * i + 5;
            break;
        default:
            mixed = c ^ (b | ~d);
            word = 7 * i;
            break;
        }
        next = b + md5_rotated(a + mixed + sines[i] + words[word % 16], shifts[i / 16][i % 4]);
        a = d;
        d = c;
        c = b;
        b = next;
    }
    md5->state[0] += a;
    md5->state[1] += b;
    md5->state[2] += c;
    md5->state[3] += d;
}

static void md5_begin(struct md5 *md5)
{
    md5->state[0] = 0x67452301u;
    md5->state[1] = 0xefcdab89u;
    md5->state[2] = 0x98badcfeu;
    md5->state[3] = 0x10325476u;
    md5->length = 0;
}

static void md5_add(struct md5 *md5, const void *data, size_t length)
{
    const unsigned char *from = data;

    while (length > 0) {
        size_t used = (size_t)(md5->length % 64);
        size_t part = 64 - used < length ? 64 - used : length;

        memcpy(md5->block + used, from, part);
        md5->length += part;
        from += part;
        length -= part;
        if (md5->length % 64 == 0) {
            md5_mix(md5);
        }
    }
}

static void md5_end(struct md5 *md5, char text[MD5_TEXT])
{
    static const unsigned char padding[64] = { 0x80 };
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = md5->length * 8;
    unsigned char tail[8];
    unsigned i;

    for (i = 0; i < 8; i++) {
        tail[i] = (unsigned char)(bits >> (8 * i));
    }
    /* Up to 56 bytes of the last block; then the length fills it. */
    md5_add(md5, padding, 1 + (size_t)((119 - md5->length % 64) % 64));
    md5_add(md5, tail, sizeof(tail));
    for (i = 0; i < 16; i++) {
        unsigned byte = (md5->state[i / 4] >> (8 * (i % 4))) & 0xff;
        text[2 * i] = digits[byte >> 4];
        text[2 * i + 1] = digits[byte & 15];
    }
    text[32] = '\0';
}

#endif
