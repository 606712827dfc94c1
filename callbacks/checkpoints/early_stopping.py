"""Early stopping, in whichever Lightning is used."""

from lightfit.lightning import OneLightning, pl


class EarlyStopping(OneLightning, pl.callbacks.EarlyStopping):
    """Lightning's EarlyStopping, of the namespace that is used: pytorch_lightning or lightning.pytorch.

    Presets name this class, as a callback of the other namespace is refused.
    """
