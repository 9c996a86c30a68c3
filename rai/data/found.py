"""What a reader of images, sequences or texts hands on."""

from dataclasses import dataclass

from rai.data.cells import Raw
from rai.subject import Data


@dataclass(frozen=True)
class Found:
    """Rows without labels and groups, and the table beside them, row for row, that those are read from."""

    data: Data
    beside: Raw
