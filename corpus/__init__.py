"""Raw corpora to token files: readers, the pipeline, the file format. Never imports mindspore."""
