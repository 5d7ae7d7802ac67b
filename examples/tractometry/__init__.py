"""Diffusion-MRI tractometry over many people: from images to tract profiles, and a page that shows them."""
