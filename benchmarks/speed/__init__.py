"""Speed, measured against others: `make bench`, or `scripts/bench [SECTION ...]`."""
