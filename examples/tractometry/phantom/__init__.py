"""People whose tracts are known: diffusion images that are simulated on the shapes of real bundles."""
