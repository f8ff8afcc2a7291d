"""The rules of waves and draws: pure functions over values, integers only."""
