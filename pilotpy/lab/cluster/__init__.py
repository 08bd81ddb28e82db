"""A lab in which an API server says what runs: the lab is the cluster's controllers, its scheduler and its node."""
