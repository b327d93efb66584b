"""sft-tui: supervised fine-tuning with LLaMA-Factory, from a file of examples to a merged model."""

__version__ = "0.1.0"
