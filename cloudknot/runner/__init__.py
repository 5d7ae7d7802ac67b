"""The far side: runs a person's function over a chunk of items.

Needs the standard library and cloudpickle, and nothing else of cloudknot, so that this folder
alone can travel into a container.
"""
