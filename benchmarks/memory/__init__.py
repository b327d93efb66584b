"""Measured GPU memory of real LLaMA-Factory runs, the protocol that measured it, and the estimates beside it."""
