"""Where the rows of a batch come from: one file a kind of data."""
