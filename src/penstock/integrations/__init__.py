"""Penstock inside web frameworks: one module each, imported by name. Each needs the extra of its name."""
