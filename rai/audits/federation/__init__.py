"""Who trained this model together, on what, and who gains from it?

Reads what the ledger says of a federated training (McMahan et al. 2017): which sites took part, whose updates were left
out, how well the common model serves each of them and each group of people, who would do better alone, what each
brought, and which promises of privacy were made to whom. Sources: NIST SP 800-226; EU AI Act Art. 10(2)(f) and 15(5).
"""

from dataclasses import replace

from rai.audits._lift import joined
from rai.audits.federation import alone, contributions, course, groups, promises, quality, stress
from rai.audits.federation.holdings import manifest, rehearsed, setting, site_table, who_holds_what
from rai.audits.federation.replies import seen_by
from rai.audits.training.rows import ledger_of
from rai.evidence import Evidence
from rai.subject import Subject

NEEDS = ("federation",)
MEASURES = (
    "federation_sites",
    "federation_rounds",
    "participation_share",
    "least_participation_share",
    "excluded_updates",
    "bytes_to_sites",
    "bytes_from_sites",
    "update_norm",
    "update_norm_dispersion",
    "site_accuracy",
    "site_r2",
    "mean_site_accuracy",
    "worst_site_accuracy",
    "worst_site_shortfall",
    "site_accuracy_difference",
    "sites_better_alone",
    "sites_better_alone_share",
    "gain_alone",
    "global_demographic_parity_difference",
    "global_equal_opportunity_difference",
    "global_predictive_equality_difference",
    "global_equalized_odds_difference",
    "global_predictive_parity_difference",
    "global_accuracy_difference",
    "global_group_selection_rate",
    "global_group_true_positive_rate",
    "global_group_false_positive_rate",
    "global_group_accuracy",
    "sample_level_epsilon",
    "site_epsilon",
    "client_level_epsilon",
    "client_level_epsilon_recalculated",
    "site_contribution",
    "contribution_sum",
    "accuracy_in_stress_test",
    "r2_in_stress_test",
    "accuracy_lost_to_attack",
    "r2_lost_to_attack",
)
METHOD = (
    "All figures are what sites and server wrote into the ledger; no row of a site was looked at here. "
    "Accuracy of the common model is that of the last round on each site's own held-out rows, with Wilson intervals; "
    "the mean counts each site once. A site's held-out rows are as many as it says. The worst site is picked after the "
    "fact, so what is claimed of it must hold for all sites at once (Bonferroni). A site counts as better alone only "
    "where the whole simultaneous interval of alone less together lies above 0. Gaps over all sites come from their "
    "confusion counts added up, which is exact, with intervals, p and 'by chance' as in the section on fairness. The "
    "promise to rows is the largest epsilon over sites."
)
CLAIMED = "What a site says of itself cannot be checked from here: its counts, accuracy and epsilon are taken as sent."


def measure(subject: Subject) -> Evidence:
    """Put what sites and server wrote into numbers, tables and curves."""
    ledger, seen, task = ledger_of(subject), seen_by(subject), subject.card.task
    served = quality.evidence(seen, task, subject.rng("federation quality"))
    lines = (*who_holds_what(seen, subject.card.classes), *site_table(seen, served.measurements))
    parts = (
        Evidence((), lines),
        served,
        alone.evidence(ledger, seen, task),
        course.evidence(ledger, seen),
        promises.evidence(ledger, seen),
        groups.evidence(seen, task, subject.rng("federation groups")),
        Evidence((), course.pictures(seen, task)),
        contributions.evidence(seen),
        stress.evidence(ledger, seen, task),
        Evidence((), (*manifest(seen), setting(seen))),
    )
    found = joined(parts, METHOD)
    return replace(found, caveats=(CLAIMED, *rehearsed(seen), *found.caveats))
