/* Fuzz target: any bytes as a weight file, starting from listings. */
#include "tests/fuzz/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_archive(data, size);
    return 0;
}
