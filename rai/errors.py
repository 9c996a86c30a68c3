"""What went wrong, said in one line that a person can act on."""

import unicodedata

LONGEST = 600


def plain(text: object) -> str:
    """Return `text` as one printable line: control and direction-changing characters become `?`.

    Names of columns and cells come from strangers; a terminal or a page must never obey them.
    """
    line = " ".join(str(text).split())
    shown = "".join("?" if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs"} else c for c in line)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


class InputError(ValueError):
    """Something handed to rai is wrong. Its text is one line: where, what, what was expected, what to do.

    The command line prints it and exits with code 2; nothing is written and nothing is lost. The text may quote a cell
    or a file's place; `outward` says the same without, for those who must not see the rows, and is "" where nobody has.
    """

    def __init__(self, what: str, *, where: object = "", expected: str = "", do: str = "", outward: str = "") -> None:
        parts = [f"{where}: {what}" if str(where) else what]
        parts += [f"expected {expected}"] if expected else []
        parts += [do] if do else []
        super().__init__(plain("; ".join(parts)))
        self.outward = plain(outward)
