"""The text of fit.py --help, without slow imports."""

from pathlib import Path

USAGE = "fit.py --task NAME [--gpus GPUS] [--model.* VALUE] [--data.* VALUE] [--trainer.* VALUE] [--checkpoint.* VALUE]"
HELP = """Train a task, or a custom preset.

  --task NAME     a preset in tasks/ (see --list), or the path of a custom YAML file
  --gpus GPUS     auto (default): what is available; 0: the CPU; N: that many; -1: all; 0,1: those ids
  --strategy NAME strategy for several devices: ddp, fsdp, or another one of Lightning
  --threads N     CPU threads (default: 1 for small nets, otherwise one per core)
  --list          list the tasks
  --data.batch_size auto    halve the batch size until a batch fits in memory
  --on_nan skip   skip steps whose loss or gradients are NaN or infinite (stop, the default: end the run)
  --early_stopping N   stop after N epochs without improvement of the checkpoint's metric
  --ema DECAY     validate and save the exponential moving average of the weights, with a decay such as 0.99
  --swa START     validate and save the mean of the weights over the epochs after this fraction, such as 0.75
  --compile       torch.compile the net
  --wandb, --mlflow    also log to these
  --find_lr, --find_batch_size    find a learning rate or the largest batch size, print it, and exit
  --folds K       cross-validate: K runs, mean and standard deviation, and predictions for every sample
  --keep_examples N    keep N training samples in the checkpoints, for those who try the model in the server's page
  --resume RUN    resume a run exactly where it was stopped or killed: auto for the newest run of the task, if there is
                  one, or its folder, runs/<task>/version_N
  --ckpt_path CKPT     resume from this checkpoint
  --init_from CKPT     start from the weights and the codec (vocabulary, classes, scaling) of another run, on other data
  --checkpoint_every N|TIME    also write last.ckpt within epochs, such as every 500 steps, 30s, 5m or 1h
  --init auto     train from scratch if the checkpoint of --ckpt_path is missing (strict, the default: an error)
  --quiet         print the result only
  --debug         print errors with their traceback

All other flags are those of LightningCLI; --model.* and --data.* are the arguments of the task's classes
(--model.help lightfit.TextClassifier, --data.help lightfit.TextDataModule list them).
--help_all lists all flags, and --task NAME --print_config shows what a task sets."""


def short_help(preset: Path | None) -> str:
    """Return the help, and what a preset sets, if one is given."""
    page = f"usage: {USAGE}\n\n{HELP}"
    return page if preset is None else f"{page}\n\n{preset.name}:\n\n{preset.read_text(encoding='utf-8').rstrip()}"
