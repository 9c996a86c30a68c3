"""What a stress test of a federation was: who attacked, in which trainings, and whose updates were left out of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from rai.card import STRICT

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class StressRun:
    """One training of a stress test: how updates were joined, and under which attack ("none" without one).

    `rows` are the held-out rows of honest sites on which its model was measured; `reason` says why it was not.
    `excluded` holds by site in how many rounds its update was left out; sites that never were are not named.
    """

    __pydantic_config__ = STRICT

    strategy: str
    attack: str
    rows: Count = 0
    excluded: Mapping[str, Count] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class StressTest:
    """How a federation was tried under attack: which sites attacked, a `share` of all, and each training's account.

    A flipped update went `scale` times as far the other way. `arguments` are those of each strategy. `seconds` is how
    long all runs took, which the ledger's own seconds do not count.
    """

    __pydantic_config__ = STRICT

    attackers: tuple[str, ...]
    share: Annotated[float, Field(ge=0, le=1)]
    scale: float
    rounds: Count
    runs: tuple[StressRun, ...]
    arguments: Mapping[str, Mapping[str, float | int]] = field(default_factory=dict)
    seconds: float = 0.0
