"""Why one decision came out as it did, as one self-contained page: the same look and the same policy as the report."""

from markupsafe import Markup

from rai.evidence import Bars, Table
from rai.explanation import NOTICE, Contribution, Explanation
from rai.render.cards import TIERS, Entry
from rai.render.page import asset, content_policy, environment, figure_of
from rai.render.words import counted, figure, listed, places_for, short

MOST = 15
NORMAL = 1.96
NOTHING = 1e-6


def page(made: Explanation) -> str:
    """Draw an explanation as HTML; equal explanations give equal pages."""
    style, script = asset("report.css"), asset("report.js")
    exhibits = [*([made.exhibit] if made.exhibit else []), bars(made), *([_table(made)] if made.contributions else [])]
    return (
        environment()
        .get_template("explanation.html.jinja")
        .render(
            made=made,
            notice=NOTICE,
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            policy=content_policy(style, script),
            decided=decided(made),
            statement=statement(made),
            leading=leading(made),
            figures=[figure_of(each) for each in exhibits],
            reliance=reliance(made),
            files=_files(made),
        )
    )


def decided(made: Explanation) -> str:
    """What the model said of the row: "yes, probability 0.83"."""
    chance, named = made.about.chance, short(made.about.decision, 60)
    return named if chance is None else f"{named}, probability {figure(chance, places_for([chance], apart=(0, 1)))}"


def statement(made: Explanation) -> str:
    """From the base to the score in one sentence."""
    places = places_for([made.base, made.full, *(each.value for each in made.strongest[:3])])
    base, full, moved = (figure(each, places) for each in (made.base, made.full, made.full - made.base))
    over = (
        f"The mean over {counted(made.background, 'row')} compared with"
        if made.background
        else "With every word masked it"
    )
    return f"{over} is {base} ({made.scale}); this row’s features move it by {moved} to {full}."


def leading(made: Explanation) -> str:
    """The three features that moved the score most."""
    kept = [each for each in made.strongest[:3] if each.value]
    told = [f"{short(each.label, 60)} ({signed(each.value, made)})" for each in kept]
    return f"Most by {listed(told)}." if told else "No feature moved it."


def signed(value: float, made: Explanation) -> str:
    """A value with its sign and as many decimals as all values of the explanation share."""
    text = figure(value, places_for([each.value for each in made.strongest[:MOST]] or [value]))
    return f"+{text}" if value > 0 else text


def shown(made: Explanation) -> tuple[Contribution, ...]:
    """The strongest contributions; the rest summed up as one, without an error, because theirs are not independent."""
    found = made.strongest
    if len(found) <= MOST + 1:
        return found
    rest = found[MOST:]
    return (*found[:MOST], Contribution(f"{len(rest)} others", "", sum(each.value for each in rest), None))


def bars(made: Explanation) -> Bars:
    """What each feature adds, the strongest first, with 95 % intervals where values were sampled."""
    found = shown(made)
    sampled = any(each.error for each in found)
    halves = [None if each.error is None else NORMAL * each.error for each in found]
    pairs = list(zip(found, halves, strict=True))
    return Bars(
        f"What each feature adds to the {made.scale}",
        leading(made),
        tuple(each.label for each in found),
        tuple(each.value for each in found),
        tuple(None if half is None else each.value - half for each, half in pairs) if sampled else (),
        tuple(None if half is None else each.value + half for each, half in pairs) if sampled else (),
        reference=0.0,
        unit=made.scale,
    )


def _table(made: Explanation) -> Table:
    """All contributions; columns in which nothing would stand are left out."""
    named, known = any(each.shown for each in made.contributions), any(each.error for each in made.contributions)
    columns = ["feature", *(["in this row"] if named else []), "adds", *(["standard error"] if known else [])]
    rows = [
        (each.feature, *([each.shown] if named else []), each.value, *([each.error] if known else []))
        for each in made.strongest
    ]
    return Table(
        f"Every feature, and what it adds to the {made.scale}", "The strongest first.", tuple(columns), tuple(rows)
    )


def reliance(made: Explanation) -> list[Entry]:
    """How far the explanation may be relied on: what was checked, and what came out."""
    return [
        Entry("Adds up", _adds_up(made)),
        Entry("Precision", precision(made)),
        Entry("Order", order(made)),
    ]


def _adds_up(made: Explanation) -> str:
    if made.gap < NOTHING:
        return "base and values add up to the score"
    return f"base and values miss the score by {figure(100 * made.gap, 2)} % of the way"


def precision(made: Explanation) -> str:
    """How sure the values are, and what that cost."""
    errors = [each.error for each in made.contributions if each.error is not None]
    worst = max(errors, default=0.0)
    sure = f"largest standard error {figure(worst)}" if worst else "nothing was sampled"
    told = [sure if errors else "this method gives no standard errors", *([made.note] if made.note else [])]
    return f"{'; '.join(told)}; the model was asked about {counted(made.rows_scored, 'row')}"


def order(made: Explanation) -> str:
    """Whether taking features away in this order lowered the score faster than chance."""
    trial = made.trial
    if trial is None:
        return f"not tested: {made.trial_note}"
    beaten = figure(100 * trial.beaten, 0)
    told = f"taken away strongest first, the score fell faster than along {beaten} % of {trial.orders} random orders"
    return told if trial.better else f"{told}: do not rely on it"


def _files(made: Explanation) -> list[Entry]:
    about, reference = made.about, made.about.reference
    return [
        Entry("Model", about.model.name, about.model.sha256),
        Entry("Trust", TIERS.get(about.trust, about.trust)),
        Entry("Data", f"{about.data.name}, row {made.row:,} of {made.rows:,} (the first is 1)", about.data.sha256),
        Entry("Reference", reference.name, reference.sha256) if reference else Entry("Reference", "none", faint=True),
        Entry("Method", made.method),
        Entry("Seed", str(made.seed)),
    ]
