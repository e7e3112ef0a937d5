"""Studies as tidy frames, and the cells that trials are gathered into."""
