"""Rewards of classical verse: form, tones, rhyme, repetition, variety, and what was copied."""
