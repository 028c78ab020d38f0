"""The training run: data order, optimizer, step, checkpoints and the loop around them."""
