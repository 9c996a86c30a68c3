"""A second opinion: codecarbon beside our own meter, offline, writing nothing and asking nobody."""

import importlib
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rai.errors import InputError

SILENT = MappingProxyType({"CODECARBON_TELEMETRY": "disabled", "CODECARBON_SAVE_TO_API": "false"})
"""Set before the package is imported, so that nothing in a person's own configuration can make it call home."""


@dataclass(frozen=True)
class Second:
    """A running codecarbon tracker."""

    tracker: Any

    def stop(self) -> Mapping[str, float]:
        """What it says: kWh and grams; nothing where it failed, which it does in silence."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kilograms = self.tracker.stop()
            data = getattr(self.tracker, "final_emissions_data", None)
        if kilograms is None or data is None:
            return {}
        return {"codecarbon_kwh": float(data.energy_consumed), "codecarbon_grams": 1000.0 * float(kilograms)}


def start_second(name: str | None, country: str | None) -> Second | None:
    """Start the tracker named; it takes seconds, which is why ours is the first meter. Raise `InputError` otherwise."""
    if name is None:
        return None
    if name != "codecarbon":
        raise InputError(f"is {name!r}", where="energy.also", expected="codecarbon, or nothing")
    os.environ.update(SILENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracker = _tracker(country)
        tracker.start()
    return Second(tracker)


def _tracker(country: str | None) -> Any:
    try:
        codecarbon = importlib.import_module("codecarbon")
    except ModuleNotFoundError:
        raise InputError(
            "the package codecarbon is not installed", where="energy.also", do="pip install codecarbon, or leave it out"
        ) from None
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    place = {} if country is None else {"country_iso_code": country}
    return codecarbon.OfflineEmissionsTracker(
        tracking_mode="process",
        output_methods=[],
        log_level="critical",
        allow_multiple_runs=True,
        electricitymaps_api_token="",
        **place,
    )
