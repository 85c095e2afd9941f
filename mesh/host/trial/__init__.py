"""A change on trial: the lock, the proof beforehand, the states, and every way back."""
