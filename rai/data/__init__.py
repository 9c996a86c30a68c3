"""Files on disk and frames in memory become data that a model can be tried on."""

from rai.data.frames import Table, from_frames
from rai.data.loading import load, raw
from rai.data.memory import Words, kind_of, labelled, unlabelled
from rai.data.mixing import mixer
from rai.data.views import frequent_tokens, token_counts

__all__ = [
    "Table",
    "Words",
    "frequent_tokens",
    "from_frames",
    "kind_of",
    "labelled",
    "load",
    "mixer",
    "raw",
    "token_counts",
    "unlabelled",
]
