"""What auditors ask for: control catalogues, waivers, what was and was not evaluated. Knows nothing of pytest."""
