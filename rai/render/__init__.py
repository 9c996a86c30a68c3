"""Pages drawn from a record: each is a pure function of it and knows no audit by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from rai.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from rai.explanation import Explanation
    from rai.record import Record

FORMATS: Mapping[str, str] = MappingProxyType(
    {"html": "report.html", "json": "report.json", "md": "report.md", "junit": "junit.xml"}
)


def render(record: "Record", format: str) -> str:  # noqa: A002 - the field's word
    """Draw a finished audit as text in one of `FORMATS`; raise `InputError` for any other.

    Equal records give equal text. The text is UTF-8 safe: names from strangers never hold control characters.
    """
    if format == "html":
        from rai.render.page import page

        return page(record)
    if format == "json":
        from rai.record import to_json

        return to_json(record)
    if format == "md":
        from rai.render.markdown import markdown

        return markdown(record)
    if format == "junit":
        from rai.render.junit import junit

        return junit(record)
    raise InputError(f"no format is named {format!r}", expected=f"one of {', '.join(FORMATS)}")


def fragment(record: "Record") -> str:
    """Draw the verdict and the checks as a small piece of HTML for notebooks: below 50 kB, no script."""
    from rai.render.page import fragment as draw

    return draw(record)


def summary(record: "Record", console: "Console") -> None:
    """Print the verdict and the checks to a terminal."""
    from rai.render.terminal import summary as show

    show(record, console)


def explanation(made: "Explanation", format: str) -> str:  # noqa: A002 - the field's word
    """Draw the explanation of one decision as "html" or "json"; raise `InputError` for any other format."""
    if format == "html":
        from rai.render.reasons import page

        return page(made)
    if format == "json":
        from rai.explanation import to_json

        return to_json(made)
    raise InputError(f"no format is named {format!r}", expected="html or json")


def explained(made: "Explanation", console: "Console") -> None:
    """Print the explanation of one decision to a terminal."""
    from rai.render.reasons_terminal import summary as show

    show(made, console)
