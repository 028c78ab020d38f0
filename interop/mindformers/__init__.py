"""MindFormers: weights, recipes for its Trainer, and Megatron data files."""
