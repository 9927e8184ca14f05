/* error.h: filling wmap_error. */
#ifndef WM_ERROR_H
#define WM_ERROR_H

#include "wmap/error.h"

/* Fills `err` (NULL is fine) and returns false, so that `return wm_fail(err, ...)` reads well. The message is
 * cleaned of control characters and cut if it is too long. File, offset and tensor are cleared. */
bool wm_fail(wmap_error *err, wmap_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with the text of errno `number` after ": ". */
bool wm_fail_errno(wmap_error *err, wmap_code code, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Says where: each returns false. Setting a file keeps what stands there already (the innermost knows best).
 */
bool wm_error_file(wmap_error *err, const char *path);
bool wm_error_offset(wmap_error *err, uint64_t offset);
bool wm_error_tensor(wmap_error *err, const char *name, size_t len);

/* One of several that do not fit is told: how many more there are, behind the message. Nothing for 0. */
bool wm_error_more(wmap_error *err, uint64_t more);

/* The offset is one of `bytes` ("data.pkl", "its unpacked bytes"), which stand nowhere in the file as they
 * are: it goes into the message. Nothing if there is no offset. */
bool wm_error_offset_of(wmap_error *err, const char *bytes);

#endif
