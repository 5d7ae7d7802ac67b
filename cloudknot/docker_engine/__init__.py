"""The docker engine: the only part that imports the docker SDK."""
