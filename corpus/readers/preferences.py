"""Readers of preferences."""
