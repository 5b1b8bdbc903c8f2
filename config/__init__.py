"""Settings, the assistant's model, logging and the root of all errors: what every other package may import."""
