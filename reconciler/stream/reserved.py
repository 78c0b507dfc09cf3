"""Frames that are filled in place: an array that lies in shared memory which its sender has loaned and not sent yet."""

from __future__ import annotations

import math
import operator
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Sequence, Tuple, Type, TypeVar

import numpy as np

from reconciler.stream import codec, memory
from reconciler.stream.errors import FrameInvalid
from reconciler.stream.forks import Forks, leak

if TYPE_CHECKING:
    import iceoryx2 as iox

    from reconciler.stream.frame import Frame

F = TypeVar("F", bound="Frame")


@dataclass(eq=False)
class Loan:
    """Shared memory that a frame reserved. `owner` is the sender that loaned it.

    The array keeps the loan; the loan must not keep the array, since numpy takes no part in finding cycles.
    """

    owner: object
    channel: str
    sample: Optional[iox.SampleMutUninit]
    size_bytes: int
    piece_bytes: int
    """What the largest payload in its piece of memory is: that says which piece."""
    array: Optional[weakref.ref[np.ndarray[Any, Any]]] = None
    forks: int = 0

    def __post_init__(self) -> None:
        """Note in which process it was made."""
        self.forks = Forks.count

    def __del__(self) -> None:
        """Give the memory back, unless it is the parent's."""
        if self.sample is not None and self.forks != Forks.count:
            leak(self.sample)

    def take(self, owner: object, encoded: codec.Encoded, metadata: bytes) -> Optional[iox.SampleMutUninit]:
        """Return the memory, filled, if the frame was reserved from `owner` and can go as it is.

        Raises:
            FrameInvalid: if it was sent before.
        """
        if self.owner is not owner:
            return None
        if self.sample is None:
            msg = f"{self.channel}: a reserved frame can be sent once: reserve another one"
            raise FrameInvalid(msg)
        array = self.array() if self.array is not None else None
        payload, payload_bytes = encoded[1], encoded[2]
        if array is None or payload is not array or payload_bytes + len(metadata) > self.size_bytes:
            return None
        if metadata:
            memory.copy_in(self.sample.payload_ptr + payload_bytes, metadata, len(metadata))
        sample, self.sample = self.sample, None
        array.flags.writeable = False
        return sample


class Layout(NamedTuple):
    """What a reserved frame needs: its array, and its whole payload with the metadata behind it."""

    field: str
    shape: Tuple[int, ...]
    dtype: np.dtype[Any]
    array_bytes: int
    size_bytes: int


def layout(kind: Type[F], shape: Sequence[int], dtype: Any, metadata: Dict[str, Any]) -> Layout:
    """Return what a frame with such an array needs.

    Raises:
        FrameInvalid: if frames of that kind hold no array, or none of that type.
    """
    element = np.dtype(dtype)
    codec.dtype_code(element)
    field = codec.ARRAY_FIELDS.get(kind)
    if field is None:
        kinds = ", ".join(known.__name__ for known in codec.ARRAY_FIELDS)
        msg = f"{kind.__name__} can't be filled in place: reserve one of {kinds}"
        raise FrameInvalid(msg)
    sizes = tuple(map(operator.index, shape))  # of numpy's small integers the product would wrap around
    array_bytes = math.prod(sizes) * element.itemsize
    return Layout(field, sizes, element, array_bytes, array_bytes + len(codec.encode_metadata(metadata)))


def frame(kind: Type[F], what: Layout, loan: Loan, content: Dict[str, Any]) -> F:
    """Return a frame whose array lies in what was loaned."""
    sample = loan.sample
    block = memory.writable(sample.payload_ptr, what.array_bytes, loan) if sample and what.array_bytes else bytearray()
    array: np.ndarray[Any, Any] = np.ndarray(what.shape, what.dtype, block)
    loan.array = weakref.ref(array)
    made = kind(**{what.field: array}, **content)
    object.__setattr__(made, "_loan", loan)
    return made


def plain(kind: Type[F], shape: Sequence[int], dtype: Any, content: Dict[str, Any], *, port: str = "") -> F:  # noqa: ARG001 - called as the other one is
    """Return such a frame with its array in ordinary memory, where there is no sender: it is copied when it is sent.

    Raises:
        FrameInvalid: if frames of that kind hold no array, or none of that type.
    """
    what = layout(kind, shape, dtype, content.get("metadata", {}))
    return kind(**{what.field: np.empty(what.shape, what.dtype)}, **content)
