"""What a meter read: joules with a band, and by which method from which inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """Energy of one part of the machine, joules, between `low` and `high`."""

    joules: float
    low: float
    high: float
    method: str
    inputs: Mapping[str, float | str]


@dataclass(frozen=True)
class Reading:
    """What a job used: joules between `low` and `high`, wall and CPU seconds, and how all this is known.

    `method` is the label to print beside the number and `inputs` what it was worked out from. `also` holds what a
    second meter says of the same job.
    """

    joules: float
    low: float
    high: float
    method: str
    inputs: Mapping[str, float | str]
    seconds: float
    cpu_seconds: float
    also: Mapping[str, float] = field(default_factory=dict)
