"""Steady diffusion: two solvers, and what each of them works on."""
