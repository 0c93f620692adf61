"""A local provider: real wire formats, real prefix-cache rules, a clock that can be moved."""
