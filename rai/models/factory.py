"""Calls the user's own function that makes the network: code that runs only with leave."""

import importlib
import importlib.util

from torch import nn

from rai.errors import InputError
from rai.models.guard import guarded

EXPECTED = '"package.module:function", a function without arguments that returns a torch.nn.Module'


def make(place: str) -> nn.Module:
    """Import "package.module:function" and call it; raise `InputError` for whatever is missing or fails.

    The module is looked up as Python does, on `sys.path`; the card's own folder is not added to it.
    """
    where = f"key factory ({place})"
    module, _, function = place.partition(":")
    if not all(part.isidentifier() for part in module.split(".")) or not function.isidentifier():
        raise InputError("is no place of a function", where=where, expected=EXPECTED)
    _require_findable(module, where)
    with guarded(f"importing {module} failed", where=where, do="mend that module", name_error=True):
        found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise InputError(f"{module} has no function {function}", where=where, expected=EXPECTED)
    with guarded(f"{function}() failed", where=where, do="mend that function", name_error=True):
        made = found()
    if not isinstance(made, nn.Module):
        raise InputError(f"{function}() returned a {type(made).__name__}", where=where, expected=EXPECTED)
    return made


def _require_findable(module: str, where: str) -> None:
    with guarded(f"importing {module} failed", where=where, do="mend that module", name_error=True):
        parents = module.split(".")
        for depth in range(1, len(parents) + 1):
            if importlib.util.find_spec(".".join(parents[:depth])) is None:
                raise InputError(
                    f"no module {'.'.join(parents[:depth])}",
                    where=where,
                    do="install it, or put its folder on PYTHONPATH",
                )
