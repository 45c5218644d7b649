"""Texts of exported projects that are the same in each."""
