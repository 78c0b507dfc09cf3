"""A declarative controller for streaming pipelines on plain Docker."""
