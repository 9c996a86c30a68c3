"""The report a person holds: a record with its verdict, its tables and its pages."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rai.errors import plain
from rai.files import write_atomic
from rai.policy import Finding, Verdict
from rai.record import ExitCode, Record, Section, read_record
from rai.render import FORMATS, fragment, render

if TYPE_CHECKING:
    import pandas as pd


class VerdictError(AssertionError):
    """The audit did not pass; the text names the rules that decided."""


@dataclass(frozen=True)
class Report:
    """A finished audit: what was measured, what the policy says of it, and every rendering of it."""

    record: Record

    @classmethod
    def read(cls, path: str | Path) -> "Report":
        """Read a report.json; raise `InputError` when it is none or was altered after it was written."""
        return cls(read_record(Path(path)))

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among blocking rules."""
        return self.record.verdict

    @property
    def passed(self) -> bool:
        """True when every blocking rule passes; doubt is no pass."""
        return self.verdict is Verdict.PASS

    @property
    def exit_code(self) -> ExitCode:
        """What the command line would return."""
        return self.record.exit_code

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What each rule says of each measurement it speaks of, worst first."""
        return self.record.findings

    @property
    def sections(self) -> tuple[Section, ...]:
        """One section an audit."""
        return self.record.sections

    def to_frame(self) -> "pd.DataFrame":
        """All measurements as a pandas frame: one row a measurement, facets as columns of their own."""
        import pandas as pd

        rows = [
            {"audit": section.name, "measurement": each.name, **each.facet}
            | {key: getattr(each, key) for key in NUMBERS}
            for section in self.sections
            if section.evidence
            for each in section.evidence.measurements
        ]
        return pd.DataFrame(rows)

    def to_json(self) -> str:
        """The whole report as JSON text; `Report.read` takes it back."""
        return render(self.record, "json")

    def save(self, path: str | Path, *, format: str = "html") -> Path:  # noqa: A002 - the field's word
        """Write the report in one of the formats html, json, md, junit; return the path written."""
        target = Path(path)
        write_atomic(target, render(self.record, format))
        return target

    def save_html(self, path: str | Path) -> Path:
        """Write the self-contained HTML page; return the path written."""
        return self.save(path, format="html")

    def write(self, folder: Path, formats: tuple[str, ...] = ("json", "html")) -> tuple[Path, ...]:
        """Write several formats into a folder under their usual names."""
        return tuple(self.save(folder / FORMATS[each], format=each) for each in formats)

    def raise_for_verdict(self) -> None:
        """Raise `VerdictError` unless the audit passed (or the policy lets doubt pass)."""
        if self.exit_code is not ExitCode.PASS:
            raise VerdictError(self._why())

    def _why(self) -> str:
        decided = [each for each in self.findings if each.rule.blocking and each.verdict is not Verdict.PASS]
        rules = [f"{each.rule.id} {each.rule.title}: {each.verdict} ({each.reason})" for each in decided]
        crashed = [f"audit {section.name}: {section.problem}" for section in self.sections if section.crashed]
        return plain(f"verdict {self.verdict}: " + "; ".join(rules + crashed))

    def _repr_html_(self) -> str:
        return fragment(self.record)


NUMBERS = (
    "value", "low", "high", "rows", "smallest", "p", "chance", "corrected", "detectable", "unit", "method", "reason",
)  # fmt: skip
