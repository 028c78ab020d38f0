"""What happens beside the training step, one hook a file; `registry` has what a recipe names."""
