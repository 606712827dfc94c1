"""Labelled texts: tables and folders, tokenizers, vocabulary and batches of word ids."""

from .vocabulary import Vocabulary, tokenize, tokenize_words

__all__ = ["Vocabulary", "tokenize", "tokenize_words"]
