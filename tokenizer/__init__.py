"""Text to ids and back: the ChatGLM vocabulary or one trained on the corpus, one interface."""
