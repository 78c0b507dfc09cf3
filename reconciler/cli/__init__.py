"""The `reconcile` command: one file for each command, imported when it is asked for."""
