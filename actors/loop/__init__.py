"""A Thespian system base that runs actors on an event loop: the media plane."""
