"""Whatever a loader stumbles over becomes one line of our own words."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rai.errors import InputError


@contextmanager
def guarded(what: str, *, where: object, do: str = "", name_error: bool = False) -> Iterator[None]:
    """Turn any exception inside the block into one `InputError` that says `what`; warnings stay silent.

    A library's own text is never passed on: some of it advises to load the file unsafely. With `name_error` the
    exception's type is named, which helps when the code that failed is the user's own.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - files and users' code may raise anything
        reason = f" ({type(error).__name__})" if name_error else ""
        raise InputError(f"{what}{reason}", where=where, do=do) from None
