"""What several tasks share; nothing here is a task."""
