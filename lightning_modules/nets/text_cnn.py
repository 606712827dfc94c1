"""The cookbook's convolutional net for texts."""

from torch import Tensor, nn

from .quick_conv import MatmulConv1d, PairMaxPool1d
from .word_vectors import WordEmbedding


class TextCNN(nn.Module):
    """Two one-dimensional convolutions over word embeddings.

    Embedding of width 3, convolution 3 -> 16 of 5 words, convolution 16 -> 128 of 2 words, each pooled by 2, and a
    linear layer over all positions: 40,625 parameters for 10,000 words, 200 positions and two classes.
    Source: lyhue1991/eat_pytorch_in_20_days, chapter 1-3.

    Args:
        vocab_size: number of words, the specials included.
        max_len: number of positions in every text.
        num_classes: number of classes; two classes share one logit.
        num_outputs: number of labels or numbers, where these are predicted; None: classes.
        embedding_size: width of the embedding; null: 3, or that of the vectors.
        vectors: file of pretrained word vectors: GloVe, word2vec or fastText as text, also .gz, or .safetensors. It is
            read when the training begins; a checkpoint does not need it.
        freeze_vectors: whether the vectors do not learn.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        max_len: int,
        num_classes: int = 2,
        num_outputs: int | None = None,
        embedding_size: int | None = None,
        vectors: str | None = None,
        freeze_vectors: bool = False,
    ) -> None:
        super().__init__()
        positions = ((max_len - 4) // 2 - 1) // 2
        if positions < 1:
            raise ValueError(f"expected max_len of at least 10, which leaves one position, received {max_len}")
        self.max_len = max_len
        self.embedding = WordEmbedding(vocab_size, embedding_size, default=3, vectors=vectors, freeze=freeze_vectors)
        self.embedding_size = self.embedding.embedding_dim
        self.conv = nn.Sequential(
            MatmulConv1d(self.embedding_size, 16, kernel_size=5),
            PairMaxPool1d(),
            nn.ReLU(),
            MatmulConv1d(16, 128, kernel_size=2),
            PairMaxPool1d(),
            nn.ReLU(),
        )
        num_logits = num_outputs or (num_classes if num_classes > 2 else 1)
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(128 * positions, num_logits))

    def forward(self, x: Tensor) -> Tensor:
        """Map word ids (B, max_len) int64 to logits (B, num_classes), or (B, 1) for two classes.

        Raises:
            ValueError: the texts have another length.
        """
        if x.shape[1] != self.max_len:
            raise ValueError(
                f"this net takes texts of {self.max_len} words, received a batch {tuple(x.shape)}: "
                "set `max_len` and leave `bucket` at false, or take a net of any length"
            )
        x = self.embedding(x).transpose(1, 2)  # (B, embedding_size, max_len)
        return self.dense(self.conv(x))
