"""Training under a criterion of group fairness: what is gained by it, and what it costs, is measured beside it."""
