"""What a run is worth: loss, exams, continuations, comparison and the report."""
