/* wmap/wmap.h: all of libwmap. */
#ifndef WMAP_WMAP_H
#define WMAP_WMAP_H

#include "wmap/archive.h"
#include "wmap/compile.h"
#include "wmap/error.h"
#include "wmap/format.h"
#include "wmap/look.h"
#include "wmap/plan.h"
#include "wmap/run.h"
#include "wmap/suggest.h"
#include "wmap/tensor.h"
#include "wmap/test.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0"; static storage. */
WMAP_API const char *wmap_version(void);

#ifdef __cplusplus
}
#endif
#endif
