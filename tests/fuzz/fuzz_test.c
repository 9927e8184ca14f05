/* fuzz_test.c: any text as a spec with tests, which are run. Each ends with a verdict, whatever it gives and
 * expects; only the system can keep a test from being run, and it doesn't. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wmap/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    char *text = malloc(size + 1); /* as long as the text, so that reading beyond it is seen */
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    wmap_compile_options options = {.path = "fuzz.wmap", .text = text, .text_len = size};
    wmap_report *report = NULL;
    wmap_error err = {0};
    wmap_tests *tests = wmap_tests_open(&options, &report, &err);
    if (!tests && err.code != WMAP_E_NOMEM && (err.code != WMAP_E_SPEC || wmap_report_errors(report) == 0))
        abort();
    wmap_report_free(report);
    for (size_t i = 0; tests && i < wmap_tests_count(tests) && i < 8; i++) {
        if (!wmap_tests_run(tests, i, &err)) {
            if (err.code != WMAP_E_NOMEM && err.code != WMAP_E_IO)
                abort();
            continue;
        }
        const wmap_test *test = wmap_tests_at(tests, i);
        if ((test->state == WMAP_TEST_FAILED) != (test->failure_count > 0))
            abort();
    }
    wmap_tests_close(tests);
    free(text);
    return 0;
}
