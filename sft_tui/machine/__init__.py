"""What this computer has: GPUs, memory, processors, disk, and where LLaMA-Factory is installed."""
