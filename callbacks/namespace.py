"""Lightning under the name its caller uses: `pytorch_lightning` or `lightning.pytorch`.

The two packages hold the same code under two names, and a Trainer of the one refuses the classes of the other.
The room takes the one that was imported first in this process, and `pytorch_lightning` where none was: a project
on `lightning.pytorch` imports that before it imports from here. Each room has this file, because no room imports
another.
"""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytorch_lightning as pl
else:
    names = ("pytorch_lightning", "lightning.pytorch")
    pl = importlib.import_module(next((name for name in sys.modules if name in names), names[0]))

__all__ = ["pl"]
