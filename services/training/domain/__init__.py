"""What training rules say: pure functions over values. No I/O, no clock, no randomness."""
