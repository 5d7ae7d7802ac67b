"""The box's process: one door on the loopback address, and what answers behind it."""
