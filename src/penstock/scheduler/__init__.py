"""Decides when; only ever submits."""
