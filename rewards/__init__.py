"""Rules that check an answer, and the command that scores a file of answers."""
