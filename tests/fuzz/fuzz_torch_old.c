/* Fuzz target: torch's stream of before 1.6 and its tar of 2016. The sums of a tar's headers are set right,
 * so that mutations get past them. */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/archive.h"

#define BLOCK ((size_t)512)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t octal(const uint8_t *field)
{
    size_t value = 0;
    for (size_t i = 0; i < 12 && field[i] >= '0' && field[i] <= '7'; i++)
        value = value * 8 + (size_t)(field[i] - '0');
    return value;
}

static void set_sums(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; size - at >= BLOCK && bytes[at];) {
        uint8_t *header = bytes + at;
        unsigned sum = 0;
        memset(header + 148, ' ', 8);
        for (size_t i = 0; i < BLOCK; i++)
            sum += header[i];
        char text[9];
        snprintf(text, sizeof text, "%06o", sum);
        memcpy(header + 148, text, 6);
        header[154] = 0;
        size_t blocks = octal(header + 124) / BLOCK + (octal(header + 124) % BLOCK != 0) + 1;
        if (blocks > (size - at) / BLOCK)
            return;
        at += blocks * BLOCK;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    if (size >= BLOCK && memcmp(data + 257, "ustar", 5) == 0)
        set_sums(copy, size);
    fuzz_archive(copy, size);
    free(copy);
    return 0;
}
