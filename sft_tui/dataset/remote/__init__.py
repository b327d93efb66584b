"""Stand-alone scripts that run with another Python and import nothing of ours."""
