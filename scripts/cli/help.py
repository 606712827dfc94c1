"""What fit.py --help says, without anything that takes time to import."""

from pathlib import Path

USAGE = "fit.py --task NAME [--gpus GPUS] [--model.* VALUE] [--data.* VALUE] [--trainer.* VALUE] [--checkpoint.* VALUE]"
HELP = """Train a task, or your own preset.

  --task NAME     a preset of tasks/ (see --list), or the path of a YAML of your own
  --gpus GPUS     auto (default) what is there; 0 the CPU; N that many; -1 all; 0,1 those ids
  --strategy NAME how several devices share the work: ddp, fsdp, and what else Lightning has
  --threads N     threads to compute with on a processor (default: one for small nets, else one a core)
  --list          the tasks, a line each
  --data.batch_size auto    halve the batch till memory suffices
  --on_nan skip   leave steps out whose loss or gradients are NaN or infinite (stop, the default: end the run)
  --early_stopping N   end after N epochs without a better value of the checkpoint's metric
  --ema DECAY     validate and save the weights' exponential moving average, such as 0.99
  --swa START     validate and save the mean of the weights over the epochs after this part of them, such as 0.75
  --compile       torch.compile the net
  --wandb, --mlflow    log to these too
  --find_lr, --find_batch_size    look for a learning rate or the largest batch, say it, and end
  --folds K       cross-validate: K runs, their mean and spread, and predictions for every sample
  --resume RUN    go on with a run, exactly where it was stopped or killed: auto, the task's newest if there is one, or
                  its folder, runs/<task>/version_N
  --ckpt_path CKPT     the same from one of its checkpoints
  --checkpoint_every N|TIME    write last.ckpt within epochs too: every 500 steps, 30s, 5m or 1h
  --init auto     begin anew where the checkpoint of --ckpt_path is missing (strict, the default: an error)
  --quiet         no progress, only the result
  --debug         errors with their traceback

Everything else is Lightning's; --model.* and --data.* are the arguments of the task's classes
(--model.help lightfit.TextClassifier, --data.help lightfit.TextDataModule list them).
--help_all lists all of it, and --task NAME --print_config shows what a task sets."""


def short_help(preset: Path | None) -> str:
    """The page, and what a preset sets, if one is named."""
    page = f"usage: {USAGE}\n\n{HELP}"
    return page if preset is None else f"{page}\n\n{preset.name}:\n\n{preset.read_text(encoding='utf-8').rstrip()}"
