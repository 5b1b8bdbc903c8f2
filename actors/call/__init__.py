"""The company of a call: its supervisor and the members that hear, think and speak."""
