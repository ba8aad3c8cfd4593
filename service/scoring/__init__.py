"""Model bundles: verify, load, predict."""
