"""Cleaning of documents: small rules by name, chosen in the recipe, and a report of their work."""
