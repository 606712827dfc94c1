"""A net that averages word vectors."""

from torch import Tensor, nn

from .word_vectors import PAD, WordEmbedding


class WordAverage(nn.Module):
    """The mean of a text's word vectors, an optional hidden layer, and a linear layer; for texts of any length.

    Source: Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification" (fastText), without a hidden layer;
    Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods for Text Classification", with one.

    Args:
        vocab_size: number of words, the specials included.
        num_classes: number of classes; two classes share one logit.
        num_outputs: number of labels or numbers, where these are predicted; None: classes.
        embedding_size: width of the embedding; null: 100, or that of the vectors.
        hidden_size: width of the hidden layer; 0: none.
        dropout: fraction of the mean vector, and of the hidden layer, that is dropped in training.
        vectors: file of pretrained word vectors: GloVe, word2vec or fastText as text, also .gz, or .safetensors. It is
            read when the training begins; a checkpoint does not need it.
        freeze_vectors: whether the vectors do not learn.
    """

    takes_ngrams = True  # the order of the ids of a text has no meaning

    def __init__(
        self,
        vocab_size: int,
        *,
        num_classes: int = 2,
        num_outputs: int | None = None,
        embedding_size: int | None = None,
        hidden_size: int = 0,
        dropout: float = 0.0,
        vectors: str | None = None,
        freeze_vectors: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = WordEmbedding(vocab_size, embedding_size, default=100, vectors=vectors, freeze=freeze_vectors)
        self.embedding_size = self.embedding.embedding_dim
        hidden = [nn.Linear(self.embedding_size, hidden_size), nn.ReLU(), nn.Dropout(dropout)] if hidden_size else []
        num_logits = num_outputs or (num_classes if num_classes > 2 else 1)
        head = nn.Linear(hidden_size or self.embedding_size, num_logits)
        self.dense = nn.Sequential(nn.Dropout(dropout), *hidden, head)

    @property
    def is_linear(self) -> bool:
        """Return whether there is no hidden layer, so that explanations are exact."""
        return len(self.dense) == 2

    def word_weights(self) -> Tensor:
        """Return what each word adds to the logits of a text of one word, (vocab_size, num_logits)."""
        head = self.dense[-1]
        assert isinstance(head, nn.Linear)
        return (self.embedding.weight @ head.weight.T).detach()

    def forward(self, x: Tensor) -> Tensor:
        """Map word ids (B, T) int64 to logits (B, num_classes), or (B, 1) for two classes."""
        num_words = (x != PAD).sum(1, keepdim=True)  # the vector of padding is 0
        return self.dense(self.embedding(x).sum(1) / num_words.clamp(min=1))
