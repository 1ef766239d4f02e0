#include "torch_globals.h"

#include "../engine/err.h"
#include "tensor_file.h"

#include <string.h>

static const TorchGlobal globals[] = {
    {"collections.OrderedDict", CONTAINER, 0},
    {"collections.defaultdict", CONTAINER, 0},
    {"collections.Counter", PLAIN, 0},
    {"argparse.Namespace", PLAIN, 0},
    {"builtins.set", PLAIN, 0},
    {"builtins.dict", PLAIN, 0},
    {"builtins.list", PLAIN, 0},
    {"builtins.int", PLAIN, 0},
    {"builtins.float", PLAIN, 0},
    {"builtins.bytearray", PLAIN, 0},
    {"builtins.complex", PLAIN, 0},
    {"__builtin__.set", PLAIN, 0},
    {"__builtin__.dict", PLAIN, 0},
    {"__builtin__.list", PLAIN, 0},
    {"__builtin__.int", PLAIN, 0},
    {"__builtin__.float", PLAIN, 0},
    {"_codecs.encode", PLAIN, 0},
    {"pathlib.PosixPath", PLAIN, 0},
    {"datetime.datetime", PLAIN, 0},
    {"datetime.timedelta", PLAIN, 0},
    {"numpy.dtype", PLAIN, 0},
    {"numpy.ndarray", PLAIN, 0},
    {"numpy.core.multiarray.scalar", PLAIN, 0},
    {"numpy.core.multiarray._reconstruct", PLAIN, 0},
    {"numpy._core.multiarray.scalar", PLAIN, 0},
    {"numpy._core.multiarray._reconstruct", PLAIN, 0},
    {"torch.Size", PLAIN, 0},
    {"torch.device", PLAIN, 0},
    {"torch.Tensor", PLAIN, 0},
    {"torch.nn.parameter.Parameter", PLAIN, 0},
    {"torch._utils._rebuild_tensor", TENSOR, 0},
    {"torch._utils._rebuild_tensor_v2", TENSOR, 0},
    {"torch._utils._rebuild_tensor_v3", TENSOR, 6},
    {"torch._utils._rebuild_parameter", WRAPPER, 0},
    {"torch._utils._rebuild_parameter_with_state", WRAPPER, 0},
    {"torch._tensor._rebuild_from_type_v2", FROM_TYPE, 0},
    {"torch._utils._rebuild_qtensor", UNREAD, 0},
    {"torch._utils._rebuild_sparse_tensor", UNREAD, 0},
    {"torch._utils._rebuild_nested_tensor", UNREAD, 0},
    {"torch._utils._rebuild_meta_tensor_no_storage", UNREAD, 0},
    {"torch._utils._rebuild_device_tensor_from_numpy", UNREAD, 0},
    {"torch._utils._rebuild_wrapper_subclass", UNREAD, 0},
    {"torch.storage.UntypedStorage", STORAGE, FILE_U8},
    {"torch.DoubleStorage", STORAGE, FILE_F64},
    {"torch.FloatStorage", STORAGE, FILE_F32},
    {"torch.HalfStorage", STORAGE, FILE_F16},
    {"torch.BFloat16Storage", STORAGE, FILE_BF16},
    {"torch.LongStorage", STORAGE, FILE_I64},
    {"torch.IntStorage", STORAGE, FILE_I32},
    {"torch.ShortStorage", STORAGE, FILE_I16},
    {"torch.CharStorage", STORAGE, FILE_I8},
    {"torch.ByteStorage", STORAGE, FILE_U8},
    {"torch.BoolStorage", STORAGE, FILE_BOOL},
    {"torch.ComplexFloatStorage", STORAGE, FILE_TYPES},
    {"torch.ComplexDoubleStorage", STORAGE, FILE_TYPES},
    {"torch.QInt8Storage", STORAGE, FILE_TYPES},
    {"torch.QUInt8Storage", STORAGE, FILE_TYPES},
    {"torch.QInt32Storage", STORAGE, FILE_TYPES},
    {"torch.float64", DTYPE, FILE_F64},
    {"torch.float32", DTYPE, FILE_F32},
    {"torch.float16", DTYPE, FILE_F16},
    {"torch.bfloat16", DTYPE, FILE_BF16},
    {"torch.int64", DTYPE, FILE_I64},
    {"torch.int32", DTYPE, FILE_I32},
    {"torch.int16", DTYPE, FILE_I16},
    {"torch.int8", DTYPE, FILE_I8},
    {"torch.uint64", DTYPE, FILE_U64},
    {"torch.uint32", DTYPE, FILE_U32},
    {"torch.uint16", DTYPE, FILE_U16},
    {"torch.uint8", DTYPE, FILE_U8},
    {"torch.bool", DTYPE, FILE_BOOL},
    {"torch.complex32", DTYPE, FILE_TYPES},
    {"torch.complex64", DTYPE, FILE_TYPES},
    {"torch.complex128", DTYPE, FILE_TYPES},
    {"torch.float8_e4m3fn", DTYPE, FILE_TYPES},
    {"torch.float8_e5m2", DTYPE, FILE_TYPES},
    {"torch.float8_e4m3fnuz", DTYPE, FILE_TYPES},
    {"torch.float8_e5m2fnuz", DTYPE, FILE_TYPES},
    {"torch.qint8", DTYPE, FILE_TYPES},
    {"torch.quint8", DTYPE, FILE_TYPES},
    {"torch.qint32", DTYPE, FILE_TYPES},
    {"torch.per_tensor_affine", PLAIN, 0},
    {"torch.per_channel_affine", PLAIN, 0},
    {"torch.serialization._get_layout", PLAIN, 0},
};

const TorchGlobal *torch_global(const char *name)
{
  size_t i = 0, count = sizeof globals / sizeof *globals;
  while (i < count && strcmp(globals[i].name, name)) i++;
  return i < count ? &globals[i] : NULL;
}

void torch_check_global(const char *name)
{
  if (!torch_global(name))
    rwkv_fail(
        "needs the Python object `%.200s`: more than tensors and plain values was saved, and nothing in a file is "
        "executed; torch.save(model.state_dict(), NEW) writes a file that can be read",
        name);
}
