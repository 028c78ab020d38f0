"""Classical Chinese verse: its regular forms, the tones and rhymes of characters, the rules."""
