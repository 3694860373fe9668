"""Bad configs."""
