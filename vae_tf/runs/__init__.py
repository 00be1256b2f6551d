"""A configuration, carried out: runs that can be killed, resumed, reported and exported."""
