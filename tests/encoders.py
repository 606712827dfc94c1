"""A tiny encoder for the tests: two layers of BERT with random weights, and a tokenizer of some words."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

WORDS = (
    *("a", "film", "good", "fine", "great", "lovely", "bad", "awful", "poor", "dreadful", "number", ",", ".", "the"),
    *("##0", "##1", "##2", "##3", "##4", "##5", "##6", "##7", "##8", "##9", "of", "##s", "text", "this", "is"),
)
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WIDTH, LAYERS, POSITIONS = 32, 2, 40
CONFIG = {
    "model_type": "bert",
    "vocab_size": len(SPECIALS) + len(WORDS),
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 2 * WIDTH,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
}


def write_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Write config.json, model.safetensors and the tokenizer's files of an encoder, without transformers."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: index for index, word in enumerate((*SPECIALS, *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"pad_token": "[PAD]", "unk_token": "[UNK]"}')
    (folder / "config.json").write_text(json.dumps(CONFIG))
    draw = torch.Generator().manual_seed(seed)
    state = {name: 0.3 * torch.randn(shape, generator=draw) for name, shape in _list_shapes().items()}
    for name in state:
        if name.endswith("LayerNorm.weight"):
            state[name] = torch.ones(WIDTH)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _list_shapes() -> dict[str, tuple[int, ...]]:
    square, up, down = (WIDTH, WIDTH), (2 * WIDTH, WIDTH), (WIDTH, 2 * WIDTH)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(SPECIALS) + len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    norms = ["embeddings"]
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}"
        parts = {f"{start}.attention.self.{name}": square for name in ("query", "key", "value")}
        parts[f"{start}.attention.output.dense"] = square
        parts |= {f"{start}.intermediate.dense": up, f"{start}.output.dense": down}
        shapes |= {f"{name}.weight": shape for name, shape in parts.items()}
        shapes |= {f"{name}.bias": (shape[0],) for name, shape in parts.items()}
        norms += [f"{start}.attention.output", f"{start}.output"]
    return shapes | {f"{name}.LayerNorm.{kind}": (WIDTH,) for name in norms for kind in ("weight", "bias")}
