"""What the law says: rules read from TOML, and the one judge that holds measurements against them."""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from rai.card import STRICT, parse
from rai.errors import InputError, plain
from rai.evidence import Measurement
from rai.files import require_file

PACKS = Path(__file__).parent / "policies"


class Verdict(StrEnum):
    """What a rule says of a measurement, from best to worst.

    `unsure`: the interval straddles the bound or too few rows stand behind it. `unmeasured`: there is no number.
    """

    PASS = "pass"  # noqa: S105 - a verdict, no password
    UNSURE = "unsure"
    UNMEASURED = "unmeasured"
    FAIL = "fail"


@dataclass(frozen=True)
class Rule:
    """One bound on one measurement, with the reason it stands.

    `where` narrows it to measurements whose facet has these entries; `tasks` to these tasks (empty: all). A rule
    that is not `blocking` is shown and does not decide. Fewer than `min_rows` rows in the smallest group read
    `unsure`.
    """

    __pydantic_config__ = STRICT

    id: str
    title: str
    measurement: str
    because: str
    source: str = ""
    at_most: float | None = None
    at_least: float | None = None
    min_rows: int = 30
    where: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    blocking: bool = True

    @property
    def requirement(self) -> str:
        """The bound in words, for example "at least 0.8"."""
        parts = [("at least", self.at_least), ("at most", self.at_most)]
        return " and ".join(f"{word} {bound:g}" for word, bound in parts if bound is not None)


@dataclass(frozen=True)
class Policy:
    """A law pack: named, sourced, and kept verbatim in the report. `unsure` says whether doubt blocks."""

    __pydantic_config__ = STRICT

    name: str
    version: str
    source: str
    rules: tuple[Rule, ...]
    unsure: Literal["block", "warn"] = "block"
    text: str = ""


@dataclass(frozen=True)
class Finding:
    """What one rule says of one measurement, and why."""

    rule: Rule
    verdict: Verdict
    measurement: Measurement | None
    reason: str


def read_policy(name: str) -> Policy:
    """Read a law pack by name ("default") or by path; raise `InputError` naming file, key and expectation."""
    path = Path(name) if name.endswith(".toml") else PACKS / f"{name}.toml"
    if path.parent == PACKS and not path.exists():
        known = ", ".join(sorted(each.stem for each in PACKS.glob("*.toml")))
        raise InputError("no such policy", where=name, expected=f"one of {known}, or a path ending in .toml")
    require_file(path, do="name a policy file, or one of: rai list")
    return _checked(path)


def _checked(path: Path) -> Policy:
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text)
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=path, expected="a policy in TOML") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"not valid TOML ({plain(error)})", where=path) from None
    policy = replace(parse(Policy, found, path), text=text)
    _require_bounds(policy, path)
    return policy


def _require_bounds(policy: Policy, path: Path) -> None:
    seen: set[str] = set()
    for rule in policy.rules:
        if rule.at_most is None and rule.at_least is None:
            raise InputError("has no bound", where=f"{path}: rule {rule.id}", expected="at_most or at_least")
        if not rule.because.strip():
            raise InputError("gives no reason", where=f"{path}: rule {rule.id}", expected="text in because")
        if rule.id in seen:
            raise InputError("is there twice", where=f"{path}: rule {rule.id}", expected="one rule an id")
        seen.add(rule.id)


def require_known(policy: Policy, known: Iterable[str]) -> None:
    """Raise `InputError` for a rule about a measurement that nobody makes; it names the nearest known ones."""
    names = sorted(set(known))
    for rule in policy.rules:
        if rule.measurement not in names:
            near = difflib.get_close_matches(rule.measurement, names, n=3, cutoff=0.4) or names[:5]
            raise InputError(
                f"no audit measures {rule.measurement!r}",
                where=f"policy {policy.name}: rule {rule.id}",
                expected=f"for example {', '.join(near)}",
            )


def judge(
    policy: Policy, measurements: Iterable[Measurement], absent: Mapping[str, str], task: str
) -> tuple[Finding, ...]:
    """Hold every measurement against every rule of the policy that speaks of it.

    `absent` says for a measurement's name why nobody made it. Worst findings come first.
    """
    made = tuple(measurements)
    findings = [
        finding
        for rule in policy.rules
        if not rule.tasks or task in rule.tasks
        for finding in _apply(rule, made, absent)
    ]
    order = [Verdict.FAIL, Verdict.UNSURE, Verdict.UNMEASURED, Verdict.PASS]
    return tuple(sorted(findings, key=lambda each: order.index(each.verdict)))


def overall(findings: Iterable[Finding]) -> Verdict:
    """The worst verdict among blocking rules: fail, then unmeasured, then unsure, then pass."""
    worst = list(Verdict)
    blocking = [each.verdict for each in findings if each.rule.blocking]
    return max(blocking, key=worst.index, default=Verdict.UNMEASURED)


def _apply(rule: Rule, made: tuple[Measurement, ...], absent: Mapping[str, str]) -> list[Finding]:
    about = [each for each in made if each.name == rule.measurement and _matches(rule.where, each.facet)]
    if about:
        return [_hold(rule, each) for each in about]
    reason = absent.get(rule.measurement, "no measurement matches this rule")
    return [Finding(rule, Verdict.UNMEASURED, None, reason)]


def _matches(where: Mapping[str, str], facet: Mapping[str, str]) -> bool:
    return all(facet.get(key) == value for key, value in where.items())


def _hold(rule: Rule, found: Measurement) -> Finding:
    if found.value is None:
        return Finding(rule, Verdict.UNMEASURED, found, found.reason)
    if found.low is None or found.high is None:
        return Finding(rule, Verdict.UNSURE, found, f"no interval: {found.reason}")
    behind = found.rows if found.smallest is None else found.smallest
    if behind < rule.min_rows:
        return Finding(rule, Verdict.UNSURE, found, f"{behind} rows; the rule asks for {rule.min_rows}")
    sides = [_side(rule.at_most, found, 1.0), _side(rule.at_least, found, -1.0)]
    verdict = max((side for side in sides if side), key=list(Verdict).index)
    return Finding(rule, verdict, found, _reason(rule, verdict, found))


def _side(bound: float | None, found: Measurement, sign: float) -> Verdict | None:
    """Compare with "at most bound"; a sign of -1 turns it into "at least bound"."""
    if bound is None or found.low is None or found.high is None:
        return None
    near, far = sorted((sign * found.low, sign * found.high))
    if far <= sign * bound:
        return Verdict.PASS
    return Verdict.FAIL if near > sign * bound else Verdict.UNSURE


def _reason(rule: Rule, verdict: Verdict, found: Measurement) -> str:
    if verdict is Verdict.PASS:
        return "the whole interval meets the bound"
    if verdict is Verdict.FAIL:
        return "the whole interval misses the bound"
    needed = rows_needed(rule, found)
    return "the interval straddles the bound" + (f"; {needed}" if needed else "")


def rows_needed(rule: Rule, found: Measurement) -> str:
    """How many rows in all would settle an unsure verdict if the estimate stayed: widths shrink with √rows."""
    bounds = [bound for bound in (rule.at_most, rule.at_least) if bound is not None]
    if found.value is None or found.low is None or found.high is None or not found.rows:
        return ""
    distance = min(abs(found.value - bound) for bound in bounds)
    width = max(found.high - found.value, found.value - found.low)
    if distance == 0.0 or width / distance > 10.0:
        return "the estimate lies so near the bound that no feasible number of rows would settle it"
    total = found.rows * (width / distance) ** 2
    more = total - found.rows
    if more <= 0:
        return ""
    step = 10 ** max(0, math.floor(math.log10(more)) - 1)
    return f"about {math.ceil(more / step) * step:,} more rows like these would settle it if the estimate holds"
