"""Steady load for long: nothing may grow but what is stated. `make soak`; for some seconds in the integration ring."""
