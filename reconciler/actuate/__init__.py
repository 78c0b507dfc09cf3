"""Acting: one call for each action, deciding nothing."""
