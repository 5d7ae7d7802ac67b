"""A registry of images that docker can log in to, push to and pull from."""
