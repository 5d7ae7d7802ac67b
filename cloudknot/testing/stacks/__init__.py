"""moto's CloudFormation where it differs from AWS: `installing` replaces what has to be, and says why."""
