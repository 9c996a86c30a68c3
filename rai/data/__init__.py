"""Files on disk and frames in memory become data that a model can be tried on."""

from rai.data.frames import Table, from_frames
from rai.data.loading import load, raw
from rai.data.mixing import mixer
from rai.data.unlabelled import unlabelled

__all__ = ["Table", "from_frames", "load", "mixer", "raw", "unlabelled"]
