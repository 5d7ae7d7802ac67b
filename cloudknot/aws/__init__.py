"""What is AWS's own: the account's shared substrate, images, jobs, logs and prices."""
