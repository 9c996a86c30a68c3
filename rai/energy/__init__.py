"""What a job costs the climate: a meter that costs the job next to nothing, and what turns joules into grams of CO2e.

>>> with Meter() as meter:
...     total = sum(range(1000))
>>> account(meter.read(), country="FRA").place
'France'

Every figure comes with the method that gave it, the inputs of that method and a low-high band. Nothing here opens a
network connection. Sources: ISO/IEC 21031:2024 (Software Carbon Intensity); Fischer 2025 and Bouza et al. 2023, who
found errors of up to 40 % in tools of this kind.
"""

from rai.energy.accounting import account
from rai.energy.check import Check, cross_check
from rai.energy.grid import Intensity, grid_intensity
from rai.energy.meter import Machine, Meter, so_far
from rai.energy.parts import Part, Reading
from rai.energy.sci import break_even, embodied_grams, lifetime_grams, sci

__all__ = [
    "Check",
    "Intensity",
    "Machine",
    "Meter",
    "Part",
    "Reading",
    "account",
    "break_even",
    "cross_check",
    "embodied_grams",
    "grid_intensity",
    "lifetime_grams",
    "sci",
    "so_far",
]
