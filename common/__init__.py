"""What every room shares: user errors, atomic files and logging. Imports no other room."""
