"""Lines of TOML, each with what a guess rests on."""

from collections.abc import Sequence

Value = str | bool | int | float | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]


def entry(key: str, value: Value, guess: str = "") -> str:
    """One line of TOML, with what the guess rests on where it is one."""
    return f"{key} = {_toml(value)}" + (f"  # guess: {guess}" if guess else "")


def blank(key: str, question: str) -> str:
    """One line of TOML without which the card cannot be used, and what has to be filled in."""
    return f'{key} = ""  # to be filled in: {question}'


def quoted(text: str) -> str:
    """Write a TOML basic string; whatever is not plainly printable is written as a code."""
    return '"' + "".join(_escaped(sign) for sign in text) + '"'


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    if sign.isprintable():
        return sign
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


def _toml(value: Value) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return f"[{_listed(value)}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(_toml(value) for value in values)
