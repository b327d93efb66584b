"""The fault campaign: `python -m tests.chaos --seed N --trials 300 [--real 12]`. What must hold.

`world` is a project with its processes, `faults` what is done to it, `judge` what must be true afterwards.
"""
