"""Measurements side by side in one run, printed as ratios: absolute times say little on another machine."""
