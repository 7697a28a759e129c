"""Who samples completions: vLLM in the trainer's own process, or transformers."""
