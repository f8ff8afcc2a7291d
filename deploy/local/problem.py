"""What stops a start, said so that the reader knows what to do."""


class Problem(Exception):
    """One sentence on what happened, one on the remedy. Shown without a traceback."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy
