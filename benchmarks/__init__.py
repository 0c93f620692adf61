"""How fast: each figure beside its floor and its peers, in one run, as ratios."""
