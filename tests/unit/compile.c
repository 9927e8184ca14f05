/* Entry points of the compiler: what goes wrong before a spec is a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wmap/compile.h"

static bool reads_fail;

/* The library's reads come here. */
ssize_t read(int fd, void *buffer, size_t size)
{
    if (!reads_fail)
        return syscall(SYS_read, fd, buffer, size);
    errno = EIO;
    return -1;
}

static wmap_error compile_file(const char *path)
{
    wmap_compile_options options = {.path = path};
    wmap_report *report = NULL;
    wmap_error err = {0};
    uint8_t *bytes;
    size_t size;
    bool ok = wmap_compile(&options, &bytes, &size, &report, &err);
    wmap_report_free(report);
    free(bytes);
    assert_int_equal(ok, err.code == WMAP_OK);
    return err;
}

static void test_reads_fail(void **state)
{
    (void)state;
    char path[] = "/tmp/wmap-compile-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "wmap 1\nmap main { }\n", 20) == 20);
    close(fd);
    assert_int_equal(compile_file(path).code, WMAP_OK);
    reads_fail = true;
    wmap_error err = compile_file(path);
    reads_fail = false;
    unlink(path);
    assert_int_equal(err.code, WMAP_E_IO);
    assert_string_equal(err.file, path);
}

static void test_no_file(void **state)
{
    (void)state;
    assert_int_equal(compile_file("/nowhere/a.wmap").code, WMAP_E_IO);
    assert_int_equal(compile_file("/tmp").code, WMAP_E_IO);
    assert_int_equal(compile_file(NULL).code, WMAP_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reads_fail), cmocka_unit_test(test_no_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
