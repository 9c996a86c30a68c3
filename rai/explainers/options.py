"""Words that only one method knows: said by the caller, or the method's own choice."""

from typing import Any

from rai.errors import InputError
from rai.explainers.questions import Question


def chosen(question: Question, **known: Any) -> dict[str, Any]:
    """Each option that a method knows, as the question says it or as given here.

    Raises `InputError` for a word that the method does not know.
    """
    strange = sorted(set(question.options) - set(known))
    if strange:
        expected = f"one of {', '.join(sorted(known))}" if known else "no options for this method"
        raise InputError("is no option of this method", where=f"option {strange[0]}", expected=expected)
    return {**known, **question.options}
