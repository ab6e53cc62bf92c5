"""Servers on this machine: the guard before each of them, the UI behind it, and the pages served beside the UI."""
