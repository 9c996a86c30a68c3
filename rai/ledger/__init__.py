"""What training promised: a file beside the model that says on what, how, how privately and at what cost it was made.

Written by training, read by audits, which hold its promises against what they measure. Times, seeds, data and
parameters are those of the run that made the model; `seal` is the SHA-256 of all the rest, so a changed byte shows.
"""

from rai.ledger.file import ledger_file, ledger_of, read_ledger, require_match, seal_of, write_ledger
from rai.ledger.stress import StressRun, StressTest
from rai.ledger.types import (
    NOISY_LOSSES,
    Canaries,
    Energy,
    Epoch,
    Federation,
    Fingerprint,
    Ledger,
    Mitigation,
    Phase,
    Privacy,
    Reply,
    Round,
    Run,
    Site,
    Trial,
)

__all__ = [
    "NOISY_LOSSES",
    "Canaries",
    "Energy",
    "Epoch",
    "Federation",
    "Fingerprint",
    "Ledger",
    "Mitigation",
    "Phase",
    "Privacy",
    "Reply",
    "Round",
    "Run",
    "Site",
    "StressRun",
    "StressTest",
    "Trial",
    "ledger_file",
    "ledger_of",
    "read_ledger",
    "require_match",
    "seal_of",
    "write_ledger",
]
