"""Documents that repeat earlier ones: found, checked and listed, in bounded memory."""
