/* trap.c: SIGBUS while a mapped source is read: the file was cut off by somebody else, or its disk fails. The
 * handler is installed while it is needed (the first of several installs it, the last takes it away) and
 * jumps back only for addresses that the thread said it was about to read. */
#include "runtime/trap.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/run.h"

typedef struct trap {
    sigjmp_buf jump;
    const uint8_t *volatile low, *volatile high; /* NULL: not armed */
} trap;

static _Thread_local trap armed;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction before;

static void on_bus(int number, siginfo_t *info, void *context)
{
    const uint8_t *at = info->si_addr;
    if (armed.low && at >= armed.low && at < armed.high) {
        armed.low = armed.high = NULL;
        siglongjmp(armed.jump, 1);
    }
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        signal(number, SIG_DFL); /* the access is made again, and ends the process */
    }
}

bool wm_trap_begin(wmap_error *err)
{
    bool ok = true;
    pthread_mutex_lock(&lock);
    if (users == 0) {
        /* The signal stays unblocked in the handler, so that leaving it by a jump needs no system call. */
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = on_bus;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        sigemptyset(&action.sa_mask);
        ok = sigaction(SIGBUS, &action, &before) == 0;
    }
    users += ok;
    pthread_mutex_unlock(&lock);
    return ok || wm_fail_errno(err, WMAP_E_INTERNAL, errno, "cannot watch for files that are cut off");
}

void wm_trap_end(void)
{
    pthread_mutex_lock(&lock);
    if (--users == 0)
        sigaction(SIGBUS, &before, NULL);
    pthread_mutex_unlock(&lock);
}

bool wm_trap_copy(const wm_block *block, uint8_t *to, const uint8_t *from, uint32_t size)
{
    int64_t low, high;
    wm_block_reach(block, &low, &high);
    if (sigsetjmp(armed.jump, 0) != 0)
        return false;
    armed.high = from + (high + 1) * (int64_t)size;
    armed.low = from + low * (int64_t)size;
    atomic_signal_fence(memory_order_seq_cst);
    wm_block_copy(block, to, from, size);
    atomic_signal_fence(memory_order_seq_cst);
    armed.low = armed.high = NULL;
    return true;
}

bool wm_trap_call(const uint8_t *low, const uint8_t *high, void (*work)(void *context), void *context)
{
    if (sigsetjmp(armed.jump, 0) != 0)
        return false;
    armed.high = high;
    armed.low = low;
    atomic_signal_fence(memory_order_seq_cst);
    work(context);
    atomic_signal_fence(memory_order_seq_cst);
    armed.low = armed.high = NULL;
    return true;
}
