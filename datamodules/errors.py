"""The error of data that is not as expected."""


class DataError(ValueError):
    """What a file holds is wrong, as against what an argument asks for; the message names the file and the place."""
