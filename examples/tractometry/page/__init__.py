"""A page of tract profiles that opens without a server: ``python -m examples.tractometry.page OUT``."""
