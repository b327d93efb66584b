"""Configs that are wrong and configs that are right, each proven by the real LLaMA-Factory."""
