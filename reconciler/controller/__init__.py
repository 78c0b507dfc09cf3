"""The shell around the planner: it looks, asks for a plan, has it done, says what happened, and waits."""
