"""Messages to ids and a loss mask, the same for training, dialogue, server and export."""
