"""Where images and their labels are in a source."""

import re
from dataclasses import dataclass, field

from ...tables.options import AS_FOUND, TableOptions


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Where images and their labels are in a source; what is None is found.

    Args:
        path_column: column of the paths in a table: its name, or its position from 0.
        label_column: column of the labels, likewise; several, with commas between them, are numbers, or 0 and 1 for
            each label.
        group_column: column of what must not be divided between train and val, such as the patient.
        image_dir: folder of the images that a table names.
        label_from: regular expression that is searched in the name of an image, and then in its path; its first group,
            or else the whole match, is the label.
        class_level: which folder of a path names the class: 1 for the first one below the split, -1 for the last one.
        table: how to read the table; its `on_error` decides about images without a label too.

    Raises:
        ValueError: a value makes no sense.
    """

    path_column: int | str | None = None
    label_column: int | str | None = None
    group_column: int | str | None = None
    image_dir: str | None = None
    label_from: str | None = None
    class_level: int | None = None
    table: TableOptions = field(default=AS_FOUND)

    def __post_init__(self) -> None:
        if self.class_level == 0:
            raise ValueError("expected `class_level` 1 or more, or -1 or less, received 0")
        if self.label_from is not None:
            try:
                re.compile(self.label_from)
            except re.error as error:
                raise ValueError(
                    f"expected `label_from` as a regular expression, received '{self.label_from}' ({error})"
                ) from error


AUTOMATIC = ImageOptions()
