"""Readers of dialogues to learn from."""
