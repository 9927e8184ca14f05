/* hdf5.c: talks to the program wmap-hdf5: finds and starts it, asks, and checks every byte it answers. */
#include "runtime/formats/hdf5.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/hdf5/protocol.h"

#define PROGRAM  "wmap-hdf5"
#define BUFFER   ((size_t)256 << 10)
#define STALL_MS 60000 /* no byte of a dataset for so long: stuck */
#define LIST_MS  15000 /* for a list, and a little more for each megabyte of the file */
#define FD_CLEAR                                                                                             \
    10 /* descriptors are moved here and above, out of the way of those that the program gets                \
        */

extern char **environ;

/* One process. */
struct session {
    struct session *next;
    pid_t pid;
    int fd;
    int64_t deadline; /* on the monotonic clock, in milliseconds */
    size_t at, end;   /* of `buffer`: bytes received and not yet taken */
    uint8_t buffer[BUFFER];
};

struct wm_hdf5 {
    int fd;
    uint64_t base, length;
    uint64_t most; /* it may grow to; 0 if it is only read */
    pthread_mutex_t lock;
    struct session *idle; /* under the lock */
};

wm_hdf5 *wm_hdf5_open(int fd, uint64_t base, uint64_t length, wmap_error *err)
{
    wm_hdf5 *file = calloc(1, sizeof *file);
    if (!file || pthread_mutex_init(&file->lock, NULL) != 0) {
        free(file);
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
        return NULL;
    }
    file->fd = fd;
    file->base = base;
    file->length = length;
    return file;
}

/* Ends a process, which has nothing to lose; gives its status, -1 if it isn't known. */
static int end_session(struct session *s)
{
    int status = -1;
    close(s->fd);
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    free(s);
    return status;
}

void wm_hdf5_rest(wm_hdf5 *file)
{
    pthread_mutex_lock(&file->lock);
    struct session *idle = file->idle;
    file->idle = NULL;
    pthread_mutex_unlock(&file->lock);
    while (idle) {
        struct session *next = idle->next;
        end_session(idle);
        idle = next;
    }
}

void wm_hdf5_close(wm_hdf5 *file)
{
    if (!file)
        return;
    wm_hdf5_rest(file);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

/* --- finding and starting the program --- */

static bool is_program(char *out, size_t size, const char *folder, size_t len, const char *below)
{
    int need = snprintf(out, size, "%.*s%s/" PROGRAM, (int)len, folder, below);
    return need > 0 && (size_t)need < size && access(out, X_OK) == 0;
}

/* The folder given by WMAP_LIBEXEC and no other; else near libwmap (the build tree, an unpacked
 * installation); else where it was meant to be installed. */
static bool find_program(char *out, size_t size)
{
    const char *given = secure_getenv("WMAP_LIBEXEC");
    if (given && given[0])
        return is_program(out, size, given, strnlen(given, PATH_MAX), "");
    char self[PATH_MAX];
    Dl_info info;
    const char *own = dladdr((void *)wm_hdf5_open, &info) ? info.dli_fname : NULL;
    /* A static executable's name may be argv[0], found through PATH. */
    if (own && realpath(strchr(own, '/') ? own : "/proc/self/exe", self)) {
        static const char *const below[] = {"", "/../libexec/wmap", "/../../libexec/wmap"};
        size_t len = (size_t)(strrchr(self, '/') - self);
        for (size_t i = 0; i < sizeof below / sizeof *below; i++)
            if (is_program(out, size, self, len, below[i]))
                return true;
    }
    return is_program(out, size, WMAP_LIBEXEC, strlen(WMAP_LIBEXEC), "");
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Spawns the program with the file as fd 3 and `sock` as fd 0 and 1. Gives errno. */
static int spawn(const char *program, const wm_hdf5 *file, int sock, pid_t *pid)
{
    char base[24], length[24], most[24];
    snprintf(base, sizeof base, "%llu", (unsigned long long)file->base);
    snprintf(length, sizeof length, "%llu", (unsigned long long)file->length);
    snprintf(most, sizeof most, "%llu", (unsigned long long)file->most);
    char *argv[] = {(char[]){PROGRAM}, base, length, most, NULL};
    int kept = fcntl(file->fd, F_DUPFD_CLOEXEC, FD_CLEAR);
    if (kept < 0)
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGPROF);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int failed = posix_spawn_file_actions_adddup2(&actions, sock, 0);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, sock, 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose report is wanted */
    failed = failed ? failed : posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
#endif
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, kept, WM_H5_FD);
    failed = failed ? failed : posix_spawn_file_actions_addclosefrom_np(&actions, WM_H5_FD + 1);
    failed = failed ? failed : posix_spawnattr_setsigmask(&attributes, &none);
    failed = failed ? failed : posix_spawnattr_setsigdefault(&attributes, &defaults);
    failed = failed ? failed
                    : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    failed = failed ? failed : posix_spawn(pid, program, &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(kept);
    return failed;
}

static bool start(struct session *s, const wm_hdf5 *file, const char *program, wmap_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return wm_fail_errno(err, WMAP_E_IO, errno, "%s can't be started", program);
    s->fd = pair[0];
    int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, FD_CLEAR);
    int failed = theirs < 0 ? errno : spawn(program, file, theirs, &s->pid);
    close(pair[1]);
    if (theirs >= 0)
        close(theirs);
    if (failed) {
        s->pid = 0;
        return wm_fail_errno(err, WMAP_E_IO, failed, "%s can't be started", program);
    }
    return true;
}

/* --- receiving --- */

/* Why no more bytes came. */
enum lost { LOST_NOT, LOST_ENDED, LOST_LATE };

static enum lost more(struct session *s)
{
    for (;;) {
        int64_t left = s->deadline - now_ms();
        struct pollfd wait = {s->fd, POLLIN, 0};
        int ready = left > 0 ? poll(&wait, 1, left < 1000000 ? (int)left : 1000000) : 0;
        if (ready == 0 && s->deadline <= now_ms())
            return LOST_LATE;
        if (ready <= 0)
            continue; /* EINTR, or a part of a long wait */
        ssize_t got = recv(s->fd, s->buffer, sizeof s->buffer, 0);
        if (got > 0) {
            s->at = 0;
            s->end = (size_t)got;
            return LOST_NOT;
        }
        if (got == 0 || errno != EINTR)
            return LOST_ENDED;
    }
}

static enum lost take(struct session *s, void *to, size_t size)
{
    uint8_t *out = to;
    while (size) {
        if (s->at == s->end) {
            enum lost lost = more(s);
            if (lost != LOST_NOT)
                return lost;
        }
        size_t part = s->end - s->at < size ? s->end - s->at : size;
        memcpy(out, s->buffer + s->at, part);
        s->at += part;
        out += part;
        size -= part;
    }
    return LOST_NOT;
}

/* Ends the session and says what became of the program. */
static bool fail_lost(struct session *s, enum lost lost, wmap_error *err)
{
    int status = end_session(s);
    bool known = lost == LOST_ENDED && status != -1 && WIFSIGNALED(status);
    if (lost == LOST_LATE || (known && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGXCPU)))
        return wm_fail(err, WMAP_E_CORRUPT, "libhdf5 could not read this file: it took too long");
    if (known && WTERMSIG(status) != SIGKILL)
        return wm_fail(err, WMAP_E_CORRUPT, "libhdf5 could not read this file: it crashed (signal %d)",
                       WTERMSIG(status));
    return wm_fail(err, WMAP_E_CORRUPT, "libhdf5 could not read this file: it ended too early");
}

static bool fail_answer(struct session *s, wmap_error *err)
{
    end_session(s);
    return wm_fail(err, WMAP_E_CORRUPT, "libhdf5 could not read this file: " PROGRAM " answered nonsense");
}

/* --- sessions --- */

static struct session *new_session(const wm_hdf5 *file, wmap_error *err)
{
    char program[PATH_MAX];
#if !defined(WMAP_HDF5)
    wm_fail(err, WMAP_E_UNSUPPORTED, "this wmap was built without HDF5 (WMAP_HDF5=OFF)");
    return NULL;
#endif
    if (!find_program(program, sizeof program)) {
        wm_fail(err, WMAP_E_UNSUPPORTED,
                "HDF5 files are read by the program " PROGRAM
                ", which was not found in %s; install it there, or set "
                "WMAP_LIBEXEC to its folder",
                secure_getenv("WMAP_LIBEXEC") ? "the folder WMAP_LIBEXEC" : WMAP_LIBEXEC);
        return NULL;
    }
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
        return NULL;
    }
    s->fd = -1;
    if (!start(s, file, program, err)) {
        end_session(s);
        return NULL;
    }
    char hello[WM_H5_HELLO_SIZE];
    s->deadline = now_ms() + STALL_MS;
    if (take(s, hello, sizeof hello) != LOST_NOT || memcmp(hello, WM_H5_HELLO, sizeof hello) != 0) {
        end_session(s);
        wm_fail(err, WMAP_E_UNSUPPORTED,
                "%s does not start, or is of another version of wmap (is libhdf5 installed?)", program);
        return NULL;
    }
    return s;
}

static struct session *acquire(wm_hdf5 *file, wmap_error *err)
{
    pthread_mutex_lock(&file->lock);
    struct session *s = file->idle;
    if (s)
        file->idle = s->next;
    pthread_mutex_unlock(&file->lock);
    return s ? s : new_session(file, err);
}

static void give_back(wm_hdf5 *file, struct session *s)
{
    pthread_mutex_lock(&file->lock);
    s->next = file->idle;
    file->idle = s;
    pthread_mutex_unlock(&file->lock);
}

static bool ask(struct session *s, char op, uint64_t address, uint64_t bytes)
{
    uint8_t request[WM_H5_REQUEST_SIZE] = {(uint8_t)op};
    for (unsigned i = 0; i < 8; i++) {
        request[1 + i] = (uint8_t)(address >> (8 * i));
        request[9 + i] = (uint8_t)(bytes >> (8 * i));
    }
    /* The program waits for requests, so these few bytes find room at once. */
    return send(s->fd, request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request;
}

/* --- answers --- */

static bool parse_error(wm_cursor *c, wmap_error *err)
{
    wmap_code code = (wmap_code)wm_take_u8(c);
    bool has_offset = wm_take_u8(c) == 1;
    uint64_t offset = wm_take_u64(c);
    size_t path_len = wm_take_u8(c);
    const char *path = (const char *)wm_take(c, path_len);
    size_t left = wm_cursor_left(c);
    const char *message = (const char *)wm_take(c, left);
    if (code != WMAP_E_UNSUPPORTED && code != WMAP_E_NOMEM && code != WMAP_E_INTERNAL && code != WMAP_E_IO &&
        code != WMAP_E_TARGET)
        code = WMAP_E_CORRUPT;
    if (!path || !message)
        return wm_fail(err, WMAP_E_CORRUPT, "libhdf5 could not read this file");
    wm_fail(err, code, "%.*s", (int)(left < 1000 ? left : 1000), message);
    if (path_len)
        wm_error_tensor(err, path, path_len);
    return has_offset ? wm_error_offset(err, offset) : false;
}

static bool out_of_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

static bool parse_dataset(wm_cursor *c, wm_hdf5_listing *l, wmap_error *err)
{
    if (l->item_count >= WM_MAX_TENSORS)
        return wm_fail(err, WMAP_E_CORRUPT, "the file holds more than %zu datasets", WM_MAX_TENSORS);
    wm_hdf5_item *item = wm_push(l->arena, l->items, l->item_count, l->item_cap);
    if (!item)
        return out_of_memory(err);
    item->address = wm_take_u64(c);
    unsigned dtype = wm_take_u8(c), direct = wm_take_u8(c);
    item->dtype = (wmap_dtype)dtype;
    item->direct = direct == 1;
    item->rank = wm_take_u8(c);
    size_t note_len = wm_take_u8(c);
    item->offset = wm_take_u64(c);
    if (direct > 1 || item->rank > WM_H5_MAX_RANK || (!wm_dtype(item->dtype) && dtype != WMAP_OPAQUE))
        c->failed = true;
    uint64_t *shape = wm_new(l->arena, uint64_t, c->failed ? 0 : item->rank);
    if (!shape)
        return out_of_memory(err);
    for (uint32_t d = 0; !c->failed && d < item->rank; d++)
        shape[d] = wm_take_u64(c);
    item->shape = shape;
    const char *note = (const char *)wm_take(c, note_len);
    item->path_len = wm_cursor_left(c);
    item->path = (const char *)wm_take(c, item->path_len);
    if (c->failed || item->path_len == 0 || item->path_len > WM_MAX_NAME || item->path[0] == '/')
        return wm_fail(err, WMAP_E_CORRUPT, "a dataset's description makes no sense");
    bool oom = false;
    item->note = note_len ? wm_copy(l->arena, note, note_len) : NULL;
    item->path = wm_copy(l->arena, item->path, item->path_len);
    if (!item->path || (note_len && !item->note))
        return out_of_memory(err);
    uint32_t before = wm_map_put(&l->paths, item->path, item->path_len, (uint32_t)(l->item_count - 1), &oom);
    if (oom)
        return out_of_memory(err);
    if (before != WM_MAP_NONE) {
        wm_fail(err, WMAP_E_CORRUPT, "there are two datasets of this name");
        return wm_error_tensor(err, item->path, item->path_len);
    }
    return true;
}

static bool parse_group(wm_cursor *c, wm_hdf5_listing *l, wmap_error *err)
{
    size_t len = wm_cursor_left(c);
    const char *path = wm_copy(l->arena, (const char *)wm_take(c, len), len);
    bool oom = false;
    if (path)
        wm_map_put(&l->groups, path, len, 0, &oom);
    return (path && !oom) || out_of_memory(err);
}

static bool parse_names(wm_cursor *c, wm_hdf5_listing *l, wmap_error *err)
{
    unsigned which = wm_take_u8(c);
    size_t path_len = wm_take_u32(c);
    const char *path = (const char *)wm_take(c, path_len);
    if (c->failed || which >= WM_H5_LISTS)
        return wm_fail(err, WMAP_E_CORRUPT, "a list of names makes no sense");
    wm_hdf5_names *names = wm_push(l->arena, l->lists, l->list_count, l->list_cap);
    if (!names)
        return out_of_memory(err);
    while (wm_cursor_left(c)) {
        size_t len = wm_take_u32(c);
        const char *text = (const char *)wm_take(c, len);
        if (!text)
            return wm_fail(err, WMAP_E_CORRUPT, "a list of names makes no sense");
        wm_hdf5_name *name = wm_push(l->arena, names->list, names->count, names->cap);
        if (!name || !(name->text = wm_copy(l->arena, text, len)))
            return out_of_memory(err);
        name->len = len;
    }
    bool oom = false;
    path = wm_copy(l->arena, path, path_len);
    if (path)
        wm_map_put(&l->names[which], path, path_len, (uint32_t)(l->list_count - 1), &oom);
    return (path && !oom) || out_of_memory(err);
}

bool wm_hdf5_parse(const uint8_t *bytes, size_t size, wm_arena *arena, wm_hdf5_listing *l, wmap_error *err)
{
    memset(l, 0, sizeof *l);
    l->arena = arena;
    wm_map_init(&l->paths, arena, 0);
    wm_map_init(&l->groups, arena, 0);
    for (unsigned i = 0; i < WM_H5_LISTS; i++)
        wm_map_init(&l->names[i], arena, 0);
    wm_cursor c = wm_cursor_of(bytes, size, 0);
    for (;;) {
        char kind = (char)wm_take_u8(&c);
        size_t part = wm_take_u32(&c);
        const uint8_t *payload = wm_take(&c, part);
        if (!payload)
            return wm_fail(err, WMAP_E_CORRUPT, "the list of datasets is cut off");
        wm_cursor inner = wm_cursor_of(payload, part, 0);
        bool ok = true;
        if (kind == WM_H5_END)
            return true;
        if (kind == WM_H5_DATASET)
            ok = parse_dataset(&inner, l, err);
        else if (kind == WM_H5_GROUP)
            ok = parse_group(&inner, l, err);
        else if (kind == WM_H5_NAMES)
            ok = parse_names(&inner, l, err);
        else if (kind == WM_H5_ERROR)
            ok = parse_error(&inner, err);
        else
            ok = wm_fail(err, WMAP_E_CORRUPT, "the list of datasets holds an unknown entry");
        if (!ok)
            return false;
    }
}

/* Bytes of an answer to LIST as they come. */
struct answer {
    uint8_t *bytes;
    size_t size, cap;
};

static bool add_room(struct answer *a, size_t size, wmap_error *err)
{
    if (size > WM_MAX_HEADER - a->size)
        return wm_fail(err, WMAP_E_CORRUPT, "the list of datasets takes more than %llu bytes",
                       (unsigned long long)WM_MAX_HEADER);
    if (a->size + size <= a->cap)
        return true;
    size_t cap = a->cap * 2 > a->size + size ? a->cap * 2 : a->size + size + 4096;
    uint8_t *grown = realloc(a->bytes, cap);
    if (!grown)
        return out_of_memory(err);
    a->bytes = grown;
    a->cap = cap;
    return true;
}

static uint32_t frame_size(const uint8_t *head)
{
    wm_cursor c = wm_cursor_of(head + 1, 4, 0);
    return wm_take_u32(&c);
}

/* Receives frames up to END or ERROR. On failure the session is gone. */
static bool receive_list(struct session *s, struct answer *a, wmap_error *err)
{
    for (;;) {
        if (!add_room(a, WM_H5_FRAME_HEAD, err)) {
            end_session(s);
            return false;
        }
        uint8_t *head = a->bytes + a->size;
        enum lost lost = take(s, head, WM_H5_FRAME_HEAD);
        if (lost != LOST_NOT)
            return fail_lost(s, lost, err);
        uint32_t size = frame_size(head);
        char kind = (char)head[0];
        if (size > WM_H5_MAX_FRAME)
            return fail_answer(s, err);
        a->size += WM_H5_FRAME_HEAD;
        if (!add_room(a, size, err)) {
            end_session(s);
            return false;
        }
        lost = take(s, a->bytes + a->size, size);
        if (lost != LOST_NOT)
            return fail_lost(s, lost, err);
        a->size += size;
        if (kind == WM_H5_END || kind == WM_H5_ERROR)
            return true;
    }
}

bool wm_hdf5_list(wm_hdf5 *file, wm_arena *arena, wm_hdf5_listing *listing, wmap_error *err)
{
    struct session *s = acquire(file, err);
    if (!s)
        return false;
    uint64_t megabytes = file->length >> 20;
    s->deadline = now_ms() + LIST_MS + (int64_t)(megabytes < 1000000 ? megabytes : 1000000) * 800;
    if (!ask(s, WM_H5_LIST, 0, 0))
        return fail_lost(s, LOST_ENDED, err);
    struct answer answer = {0};
    bool ok = receive_list(s, &answer, err);
    if (ok) {
        give_back(file, s);
        ok = wm_hdf5_parse(answer.bytes, answer.size, arena, listing, err);
        if (!ok && err && err->has_offset)
            err->offset += file->base;
    }
    free(answer.bytes);
    return ok;
}

/* Passes the payload of one DATA frame on. On failure of the sink the session is ended. */
static bool pass_on(struct session *s, size_t size, wm_sink *sink, wmap_error *err)
{
    while (size) {
        if (s->at == s->end) {
            s->deadline = now_ms() + STALL_MS;
            enum lost lost = more(s);
            if (lost != LOST_NOT)
                return fail_lost(s, lost, err);
        }
        size_t part = s->end - s->at < size ? s->end - s->at : size;
        if (!sink->put(sink, s->buffer + s->at, part, err)) {
            end_session(s);
            return false;
        }
        s->at += part;
        size -= part;
    }
    return true;
}

static bool read_error(struct session *s, wm_hdf5 *file, uint32_t size, wmap_error *err)
{
    uint8_t payload[2048];
    if (size > sizeof payload)
        return fail_answer(s, err);
    enum lost lost = take(s, payload, size);
    if (lost != LOST_NOT)
        return fail_lost(s, lost, err);
    give_back(file, s);
    wm_cursor c = wm_cursor_of(payload, size, 0);
    parse_error(&c, err);
    if (err && err->has_offset)
        err->offset += file->base;
    return false;
}

bool wm_hdf5_read(wm_hdf5 *file, uint64_t address, uint64_t bytes, wm_sink *sink, wmap_error *err)
{
    struct session *s = acquire(file, err);
    if (!s)
        return false;
    if (!ask(s, WM_H5_READ, address, bytes))
        return fail_lost(s, LOST_ENDED, err);
    for (;;) {
        uint8_t head[WM_H5_FRAME_HEAD];
        s->deadline = now_ms() + STALL_MS;
        enum lost lost = take(s, head, sizeof head);
        if (lost != LOST_NOT)
            return fail_lost(s, lost, err);
        uint32_t size = frame_size(head);
        if (head[0] == WM_H5_ERROR)
            return read_error(s, file, size, err);
        if (head[0] == WM_H5_END && size == 0 && bytes == 0) {
            give_back(file, s);
            return true;
        }
        if (head[0] != WM_H5_DATA || size == 0 || size > bytes)
            return fail_answer(s, err);
        if (!pass_on(s, size, sink, err))
            return false;
        bytes -= size;
    }
}

/* --- writing --- */

/* Sends what follows a request. The program reads all of it before it answers. */
static bool send_records(struct session *s, const uint8_t *bytes, size_t size)
{
    while (size) {
        struct pollfd wait = {s->fd, POLLOUT, 0};
        int ready = poll(&wait, 1, STALL_MS);
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return false;
        ssize_t sent = ready > 0 ? send(s->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        }
    }
    return true;
}

bool wm_hdf5_parse_offsets(const uint8_t *bytes, size_t size, uint64_t *offsets, size_t count,
                           wmap_error *err)
{
    wm_cursor c = wm_cursor_of(bytes, size, 0);
    for (;;) {
        char kind = (char)wm_take_u8(&c);
        size_t part = wm_take_u32(&c);
        const uint8_t *payload = wm_take(&c, part);
        if (!payload)
            return wm_fail(err, WMAP_E_CORRUPT, PROGRAM "'s answer is cut off");
        wm_cursor inner = wm_cursor_of(payload, part, 0);
        if (kind == WM_H5_END)
            return count == 0 || wm_fail(err, WMAP_E_CORRUPT, PROGRAM " did not tell all places");
        if (kind == WM_H5_ERROR)
            return parse_error(&inner, err);
        if (kind != WM_H5_OFFSETS || part % 8 || part / 8 > count)
            return wm_fail(err, WMAP_E_CORRUPT, PROGRAM " answered nonsense");
        for (count -= part / 8; part; part -= 8)
            *offsets++ = wm_take_u64(&inner);
    }
}

bool wm_hdf5_write(int fd, char op, uint64_t length, uint64_t most, const uint8_t *records, size_t size,
                   uint64_t *offsets, size_t count, wmap_error *err)
{
    wm_hdf5 file = {.fd = fd, .length = length, .most = most};
    if (size > WM_H5_MAX_RECORDS)
        return wm_fail(err, WMAP_E_TARGET, "its names take more than %llu bytes",
                       (unsigned long long)WM_H5_MAX_RECORDS);
    struct session *s = new_session(&file, err);
    if (!s)
        return false;
    if (!ask(s, op, 0, size) || !send_records(s, records, size))
        return fail_lost(s, LOST_ENDED, err);
    struct answer answer = {0};
    s->deadline = now_ms() + STALL_MS + (int64_t)count;
    if (!receive_list(s, &answer, err)) {
        free(answer.bytes);
        return false;
    }
    end_session(s);
    bool ok = wm_hdf5_parse_offsets(answer.bytes, answer.size, offsets, count, err);
    free(answer.bytes);
    return ok;
}
