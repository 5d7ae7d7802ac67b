"""The command line: ``cloudknot VERB``."""
