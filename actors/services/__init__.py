"""What the calls of one worker share."""
