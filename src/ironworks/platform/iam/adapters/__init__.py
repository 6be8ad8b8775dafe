"""How the outside world is reached."""
