"""What the models cost and how fast they train, runnable by anyone."""
