"""rai: audit a trained model and get one report worth signing."""
