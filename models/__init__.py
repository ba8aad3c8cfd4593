"""Training and publishing of model bundles."""
