"""What Django finds here: the commands."""
