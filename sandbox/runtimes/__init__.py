"""Siblings of one protocol, see base.py."""
