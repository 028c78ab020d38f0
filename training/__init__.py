"""The training run: data order, optimizer, step and the loop around them."""
