"""Plan to events: runs the steps in order and says what happens."""
