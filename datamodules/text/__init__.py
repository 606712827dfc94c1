"""Labelled texts: tables and folders, tokenizers, vocabulary and batches of word ids."""

from .tokenizers import tokenize, tokenize_any, tokenize_words
from .vocabulary import Vocabulary

__all__ = ["Vocabulary", "tokenize", "tokenize_any", "tokenize_words"]
