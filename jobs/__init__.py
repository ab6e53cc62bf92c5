"""What runs the assets: jobs (verbs), their schedules, and the sensors that wake them."""
