/* tf_types.c: TensorFlow's types, and the small messages that both versions of its checkpoints use. */
#include "runtime/formats/tf.h"

#include <string.h>

#include "runtime/base/dtype.h"

/* DataType of tensorflow/core/framework/types.proto. Types of less than a byte take one in a checkpoint. */
static const wm_tf_type types[] = {
    {1, WMAP_F32, 4, NULL},
    {2, WMAP_F64, 8, NULL},
    {3, WMAP_I32, 4, NULL},
    {4, WMAP_U8, 1, NULL},
    {5, WMAP_I16, 2, NULL},
    {6, WMAP_I8, 1, NULL},
    {WM_TF_STRING, WMAP_OPAQUE, 0, "text (DT_STRING)"},
    {8, WMAP_C64, 8, NULL},
    {9, WMAP_I64, 8, NULL},
    {10, WMAP_BOOL, 1, NULL},
    {11, WMAP_OPAQUE, 1, "quantised (DT_QINT8)"},
    {12, WMAP_OPAQUE, 1, "quantised (DT_QUINT8)"},
    {13, WMAP_OPAQUE, 4, "quantised (DT_QINT32)"},
    {14, WMAP_BF16, 2, NULL},
    {15, WMAP_OPAQUE, 2, "quantised (DT_QINT16)"},
    {16, WMAP_OPAQUE, 2, "quantised (DT_QUINT16)"},
    {17, WMAP_U16, 2, NULL},
    {18, WMAP_C128, 16, NULL},
    {19, WMAP_F16, 2, NULL},
    {WM_TF_VARIANT, WMAP_OPAQUE, 0, "an object (DT_VARIANT)"},
    {22, WMAP_U32, 4, NULL},
    {23, WMAP_U64, 8, NULL},
    {24, WMAP_F8_E5M2, 1, NULL},
    {25, WMAP_F8_E4M3, 1, NULL},
    {26, WMAP_OPAQUE, 1, "DT_FLOAT8_E4M3FNUZ"},
    {27, WMAP_OPAQUE, 1, "DT_FLOAT8_E4M3B11FNUZ"},
    {28, WMAP_OPAQUE, 1, "DT_FLOAT8_E5M2FNUZ"},
    {29, WMAP_OPAQUE, 1, "DT_INT4"},
    {30, WMAP_OPAQUE, 1, "DT_UINT4"},
    {31, WMAP_OPAQUE, 1, "DT_INT2"},
    {32, WMAP_OPAQUE, 1, "DT_UINT2"},
    {33, WMAP_OPAQUE, 1, "DT_FLOAT4_E2M1FN"},
};

const wm_tf_type *wm_tf_type_of(uint64_t number)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == number)
            return &types[i];
    return NULL;
}

uint32_t wm_tf_number(wmap_dtype dtype)
{
    for (size_t i = 0; dtype != WMAP_OPAQUE && i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype)
            return types[i].number;
    return 0;
}

/* Dim: 1 is its size. */
static bool read_dim(wm_tf_input *in, wm_tf_shape *shape)
{
    uint64_t size = 0;
    wm_tf_fields f = wm_tf_message(in);
    while (wm_tf_next(in, &f))
        if (wm_tf_is(&f, 1, WM_TF_VARINT))
            size = f.value;
    if (in->failed)
        return false;
    if ((int64_t)size < 0)
        return wm_tf_damaged(in, "a shape with a dimension of negative or unknown size");
    if (shape->rank == WMAP_MAX_RANK)
        return wm_tf_damaged(in, "a shape of more than 64 dimensions");
    shape->dims[shape->rank++] = size;
    return true;
}

/* TensorShapeProto: 2 repeated Dim, 3 unknown_rank. */
bool wm_tf_read_shape(wm_tf_input *in, wm_tf_shape *shape)
{
    wm_tf_fields f = wm_tf_message(in);
    while (wm_tf_next(in, &f)) {
        if (wm_tf_is(&f, 3, WM_TF_VARINT) && f.value)
            return wm_tf_damaged(in, "a shape of unknown rank");
        if (wm_tf_is(&f, 2, WM_TF_BYTES) && !read_dim(in, shape))
            return false;
    }
    return !in->failed;
}

/* TensorSliceProto: 1 repeated Extent {1 start, 2 length}. */
bool wm_tf_read_slice(wm_tf_input *in, wm_tf_slice *slice)
{
    wm_tf_fields f = wm_tf_message(in);
    while (wm_tf_next(in, &f)) {
        if (!wm_tf_is(&f, 1, WM_TF_BYTES))
            continue;
        if (slice->rank == WMAP_MAX_RANK)
            return wm_tf_damaged(in, "a slice of more than 64 dimensions");
        int64_t start = 0, length = -1;
        wm_tf_fields e = wm_tf_message(in);
        while (wm_tf_next(in, &e)) {
            if (wm_tf_is(&e, 1, WM_TF_VARINT))
                start = (int64_t)e.value;
            else if (wm_tf_is(&e, 2, WM_TF_VARINT))
                length = (int64_t)e.value;
        }
        slice->start[slice->rank] = start;
        slice->length[slice->rank++] = length;
    }
    return !in->failed;
}

static bool is_ours(wm_tf_input *in)
{
    bool found = false;
    while (wm_tf_left(in) && !in->failed)
        found |= wm_tf_varint(in) == 1;
    return found;
}

/* 1 producer, 2 min_consumer, 3 repeated bad_consumers. */
bool wm_tf_read_version(wm_tf_input *in)
{
    int64_t producer = 0, least = 0;
    bool bad = false;
    wm_tf_fields f = wm_tf_message(in);
    while (wm_tf_next(in, &f)) {
        if (wm_tf_is(&f, 1, WM_TF_VARINT))
            producer = (int64_t)f.value;
        else if (wm_tf_is(&f, 2, WM_TF_VARINT))
            least = (int64_t)f.value;
        else if (wm_tf_is(&f, 3, WM_TF_VARINT))
            bad |= f.value == 1;
        else if (wm_tf_is(&f, 3, WM_TF_BYTES))
            bad |= is_ours(in);
    }
    if (!in->failed && producer < 0)
        return wm_tf_damaged(in, "its version is negative");
    if (!in->failed && (least > 1 || bad)) {
        wm_tf_damaged(in, "it was written for newer readers than wmap");
        if (in->err)
            in->err->code = WMAP_E_UNSUPPORTED;
    }
    return !in->failed;
}
