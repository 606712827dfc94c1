"""Fields, examples, data sets and iterators, as in `torchtext.data` of release 0.6."""

from .batch import Batch
from .dataset import Dataset, TabularDataset
from .example import Example
from .field import Field, LabelField, RawField
from .iterator import BPTTIterator, BucketIterator, Iterator, batch, pool
from .nested_field import NestedField
from .pipeline import Pipeline
from .reversible_field import ReversibleField, SubwordField
from .utils import get_tokenizer, interleave_keys

__all__ = [
    "BPTTIterator",
    "Batch",
    "BucketIterator",
    "Dataset",
    "Example",
    "Field",
    "Iterator",
    "LabelField",
    "NestedField",
    "Pipeline",
    "RawField",
    "ReversibleField",
    "SubwordField",
    "TabularDataset",
    "batch",
    "get_tokenizer",
    "interleave_keys",
    "pool",
]
