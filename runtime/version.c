/* version.c: which libwmap this is. */
#include "wmap/wmap.h"

const char *wmap_version(void)
{
    return WMAP_VERSION;
}
