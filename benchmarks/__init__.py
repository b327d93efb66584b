"""Measurements side by side in one run, printed as ratios: `make bench`. Absolute times say little on another machine."""
