"""Bad stores."""
