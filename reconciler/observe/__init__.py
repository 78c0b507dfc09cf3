"""Looking: what the engine, the host and iceoryx2 hold, as one value."""
