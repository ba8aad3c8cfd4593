"""The pure heart: conditions, catalog, matching and deciding as functions of their arguments."""
