"""Bad surroundings."""
