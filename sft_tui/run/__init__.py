"""A run belongs to no terminal: a detached supervisor owns it, front ends read its files and leave requests."""
