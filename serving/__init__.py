"""Ways to talk to a run: the terminal and the page in the browser."""
