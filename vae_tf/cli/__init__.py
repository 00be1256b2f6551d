"""Flags and wiring; the only place that parses arguments or prints."""
