/* main.c: the program wmap-hdf5, which reads and makes HDF5 files for libwmap. It stands apart because
 * libhdf5 is large and a hostile file may crash it or keep it busy for ever: here that costs a process, which
 * can open nothing, holds a bounded amount of memory and is stopped after a bounded time. protocol.h says how
 * it is spoken to. */
#include "runtime/hdf5/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#define MEMORY_MIN ((uint64_t)512 << 20) /* bytes of address space; read.c adds the chunks' */
#define MEMORY_MAX ((uint64_t)3 << 30)
#define SLOW       (WM_H5_SANITIZED ? 30 : 1)

static void limit_to(int what, uint64_t soft, uint64_t hard)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)what, &limit) != 0)
        return;
    if (hard < limit.rlim_max)
        limit.rlim_max = hard;
    if (soft < limit.rlim_cur)
        limit.rlim_cur = soft;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    setrlimit((__rlimit_resource_t)what, &limit);
}

/* All shared objects are loaded by now, so nothing needs to be opened any more. */
static void confine(uint64_t most)
{
    limit_to(RLIMIT_CORE, 0, 0);
    if (!WM_H5_SANITIZED) {
        limit_to(RLIMIT_FSIZE, most, most);
        limit_to(RLIMIT_NOFILE, WM_H5_FD + 1, WM_H5_FD + 1);
        limit_to(RLIMIT_AS, MEMORY_MIN, MEMORY_MAX);
    }
}

/* SIGPROF ends the program after so much processor time; a request begins anew. */
static void allow_time(uint64_t milliseconds)
{
    milliseconds *= SLOW;
    struct itimerval timer = {{0, 0},
                              {(time_t)(milliseconds / 1000), (suseconds_t)(milliseconds % 1000 * 1000)}};
    setitimer(ITIMER_PROF, &timer, NULL);
}

static bool receive(unsigned char *request, size_t size)
{
    while (size) {
        ssize_t got = read(STDIN_FILENO, request, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        request += got;
        size -= (size_t)got;
    }
    return true;
}

/* What follows a request; NULL if it is too long or does not come. */
static unsigned char *receive_records(uint64_t size, wmap_error *err)
{
    unsigned char *records = size <= WM_H5_MAX_RECORDS ? malloc(size ? (size_t)size : 1) : NULL;
    if (!records) {
        wm_fail(err, WMAP_E_NOMEM, "out of memory for %llu bytes of records", (unsigned long long)size);
        return NULL;
    }
    if (!receive(records, (size_t)size))
        _exit(1); /* libwmap is gone */
    return records;
}

static bool work(hid_t *file, const wm_h5_range *range, char op, uint64_t address, uint64_t bytes,
                 wmap_error *err)
{
    bool records_follow = op == WM_H5_MAKE || op == WM_H5_REPLACE;
    unsigned char *records = records_follow ? receive_records(bytes, err) : NULL;
    if (records_follow && !records)
        return false;
    if (*file < 0)
        *file = wm_h5_open(range, op == WM_H5_MAKE, err);
    bool ok = *file >= 0;
    if (ok && op == WM_H5_LIST)
        ok = wm_h5_list(*file, range->length, err);
    else if (ok && op == WM_H5_READ)
        ok = wm_h5_read(*file, range->length, address, bytes, err);
    else if (ok && op == WM_H5_MAKE)
        ok = wm_h5_make(*file, records, (size_t)bytes, err);
    else if (ok && op == WM_H5_REPLACE)
        ok = wm_h5_replace(*file, range->length, records, (size_t)bytes, err);
    else if (ok)
        ok = wm_fail(err, WMAP_E_INTERNAL, "unknown request");
    free(records);
    return ok;
}

static void answer(hid_t *file, const wm_h5_range *range, const unsigned char *request)
{
    wm_cursor c = wm_cursor_of(request, WM_H5_REQUEST_SIZE, 0);
    char op = (char)wm_take_u8(&c);
    uint64_t address = wm_take_u64(&c), bytes = wm_take_u64(&c);
    wmap_error err = {0};
    /* Five times what a file takes that holds nothing but the smallest datasets; a megabyte is unpacked in a
     * few milliseconds, and a dataset made for each 30 bytes of records in a tenth of a millisecond. */
    uint64_t file_ms = (range->length >> 20) * 400;
    allow_time(1500 + (op == WM_H5_READ   ? (bytes >> 20) * 1000
                       : op == WM_H5_LIST ? file_ms
                                          : file_ms + bytes / 20));
    if (work(file, range, op, address, bytes, &err))
        wm_h5_frame(WM_H5_END, 0);
    else
        wm_h5_say_error(&err);
    wm_h5_flush();
}

static bool number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *value <= (uint64_t)INT64_MAX;
}

int main(int argc, char **argv)
{
    wm_h5_range range = {.fd = WM_H5_FD};
    if (argc != 4 || !number(argv[1], &range.base) || !number(argv[2], &range.length) ||
        !number(argv[3], &range.most)) {
        fprintf(stderr, "wmap-hdf5 is a part of wmap and is started by it.\n");
        return 2;
    }
    static const char *const unwanted[] = {"HDF5_PLUGIN_PATH",   "HDF5_PLUGIN_PRELOAD",
                                           "HDF5_DRIVER",        "HDF5_DEBUG",
                                           "HDF5_VOL_CONNECTOR", "HDF5_DISABLE_VERSION_CHECK"};
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
        unsetenv(unwanted[i]);
    confine(range.most);
    H5PLset_loading_state(0); /* no filters from shared objects that happen to lie about */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);

    unsigned char request[WM_H5_REQUEST_SIZE];
    hid_t file = H5I_INVALID_HID;
    wm_h5_put(WM_H5_HELLO, WM_H5_HELLO_SIZE);
    wm_h5_flush();
    while (receive(request, sizeof request))
        answer(&file, &range, request);
    _exit(0); /* the system frees faster than libhdf5 */
}
