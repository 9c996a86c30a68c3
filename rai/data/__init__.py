"""Files on disk and frames in memory become data that a model can be tried on."""

from rai.data.frames import Table, from_frames
from rai.data.loading import load, raw

__all__ = ["Table", "from_frames", "load", "raw"]
