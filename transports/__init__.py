"""Wires: sans-IO protocols, the listeners that drive them, and the Tornado application."""
