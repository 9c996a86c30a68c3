"""The words a checkpoint of tensors is written in: names it may mention, and the values they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

STORAGES: Mapping[str, str] = MappingProxyType(
    {
        "torch.DoubleStorage": "float64",
        "torch.FloatStorage": "float32",
        "torch.HalfStorage": "float16",
        "torch.BFloat16Storage": "bfloat16",
        "torch.LongStorage": "int64",
        "torch.IntStorage": "int32",
        "torch.ShortStorage": "int16",
        "torch.CharStorage": "int8",
        "torch.ByteStorage": "uint8",
        "torch.BoolStorage": "bool",
    }
)
TENSORS = frozenset({"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"})
WRAPPERS = frozenset(
    {
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.nn.parameter.Parameter",
        "torch.nn.parameter.Buffer",
    }
)
MAPPINGS = frozenset({"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict"})
PLAIN_THINGS: Mapping[str, str] = MappingProxyType(
    {
        "builtins": "set frozenset list tuple int float bool str complex bytearray slice range",
        "_codecs": "encode",
        "__builtin__": "set bytearray complex",
        "argparse": "Namespace",
        "datetime": "datetime",
        "pathlib": "PosixPath WindowsPath PurePosixPath",
        "pathlib._local": "PosixPath",
        "numpy": "dtype ndarray",
        "numpy.core.multiarray": "scalar _reconstruct",
        "numpy._core.multiarray": "scalar _reconstruct",
        "torch": "Size device Tensor UntypedStorage per_tensor_affine per_channel_affine ComplexFloatStorage "
        "ComplexDoubleStorage QInt8Storage QUInt8Storage QInt32Storage float float16 float32 float64 bfloat16 "
        "half double int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128 qint8 quint8 "
        "qint32 float8_e4m3fn float8_e5m2",
        "torch.serialization": "_get_layout",
        "torch.storage": "UntypedStorage TypedStorage",
        "torch._utils": "_rebuild_tensor_v3 _rebuild_sparse_tensor _rebuild_qtensor _rebuild_nested_tensor "
        "_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor "
        "_rebuild_meta_tensor_no_storage _rebuild_wrapper_subclass",
        "torch._tensor": "_rebuild_from_type_v2",
    }
)
OTHERS = frozenset(f"{module}.{thing}" for module, things in PLAIN_THINGS.items() for thing in things.split())
PLAIN = frozenset(STORAGES) | TENSORS | WRAPPERS | MAPPINGS | OTHERS
"""Names that a checkpoint of tensors and plain values uses. Any other name means that the pickle carries an object."""


@dataclass(frozen=True)
class Name:
    """Something that the pickle would import, as text: "package.module.thing"."""

    text: str


@dataclass(frozen=True)
class Opaque:
    """A value that was left unmade; `what` names what would have made it."""

    what: str


@dataclass(frozen=True)
class Storage:
    """One run of numbers outside the pickle: its key, the kind of its numbers, and how many there are."""

    key: str
    dtype: str
    elements: int


@dataclass(frozen=True)
class Tensor:
    """A view into a storage, sizes as the pickle states them: not yet held against the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
