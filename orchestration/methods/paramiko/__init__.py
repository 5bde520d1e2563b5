"""Reaching servers over SSH with paramiko."""
