/* protocol.h: what libwmap and the program wmap-hdf5 say to each other, over one socket (the program's fd 0
 * and 1).
 *
 *     wmap-hdf5 BASE LENGTH MOST    the HDF5 file is bytes [BASE, BASE + LENGTH) of fd 3; MOST is 0, or the
 *                                   bytes that it may grow to: then it is written, and BASE is 0
 *
 * The program says WM_H5_HELLO, then answers requests one after another until the socket ends. All numbers
 * are little-endian. A request is { u8 op, u64 address, u64 bytes }:
 *
 *     LIST     (0, 0)            -> GROUP, NAMES and DATASET frames in the order of the walk, then END
 *     READ     (address, bytes)  -> DATA frames that add up to `bytes`, then END
 *     MAKE     (0, bytes)        `bytes` bytes of records follow; makes a new file of them -> OFFSETS, END
 *     REPLACE  (0, bytes)        paths follow, each { u32 size, path }: puts a contiguous dataset without
 * data in the place of each -> OFFSETS, END
 *
 * or ERROR in the place of any frame, which ends the answer. A frame is { u8 kind, u32 size, payload }:
 *
 *     GROUP    path
 *     NAMES    u8 which (WM_H5_LAYER_NAMES ...), u32 path size, path of the group, { u32 size, text } ...
 *     DATASET  u64 address, u8 dtype, u8 direct, u8 rank, u8 note size, u64 offset, u64 extents[rank], note,
 *              path
 *     DATA     elements, row-major, little-endian
 *     OFFSETS  u64 each: where the data of a dataset go; 0 if it has none
 *     ERROR    u8 wmap_code, u8 has offset, u64 offset, u8 path size, path, message
 *
 * Records of MAKE, where a string is { u32 size, bytes }; groups on the way to a path are made too:
 *
 *     DATASET  u8 kind, string path, u8 dtype, u8 rank, u64 extents[rank]
 *     GROUP    u8 kind, string path
 *     TEXT     u8 kind, string path of a group, string name, string value: an attribute
 *     NAMES    u8 kind, string path of a group, string name, u32 count, strings: an attribute
 *
 * Paths have no leading slash; the root's is empty. Neither side believes the other: the program reads
 * hostile files. */
#ifndef WM_HDF5_PROTOCOL_H
#define WM_HDF5_PROTOCOL_H

#define WM_H5_HELLO      "wmaph5\0\2"
#define WM_H5_HELLO_SIZE 8
#define WM_H5_FD         3 /* the file in the program */

#define WM_H5_LIST         'L'
#define WM_H5_READ         'R'
#define WM_H5_MAKE         'M'
#define WM_H5_REPLACE      'P'
#define WM_H5_REQUEST_SIZE 17

#define WM_H5_GROUP       'g'
#define WM_H5_NAMES       'n'
#define WM_H5_DATASET     'd'
#define WM_H5_DATA        'b'
#define WM_H5_TEXT        't'
#define WM_H5_OFFSETS     'o'
#define WM_H5_ERROR       'x'
#define WM_H5_END         'z'
#define WM_H5_FRAME_HEAD  5
#define WM_H5_MAX_FRAME   ((uint32_t)64 << 20)
#define WM_H5_MAX_RECORDS ((uint64_t)128 << 20) /* bytes that follow MAKE and REPLACE */

/* The attributes that are told: lists, and single texts. */
enum { WM_H5_LAYER_NAMES, WM_H5_WEIGHT_NAMES, WM_H5_NAME, WM_H5_BACKEND, WM_H5_VERSION, WM_H5_LISTS };

#define WM_H5_MAX_RANK 32 /* H5S_MAX_RANK */
#define WM_H5_MAX_DEPTH                                                                                      \
    64 /* groups within groups; Keras nests a layer in a layer, ten deep at the very most */

#endif
