"""How fast: our work and the peers', in one run."""
