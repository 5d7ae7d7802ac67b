"""moto's ECR, tied to the box's registry: `installing` replaces what has to be, and says why."""
