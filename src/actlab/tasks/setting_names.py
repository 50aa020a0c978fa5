"""Names of a task's settings, and the setting that another framework's word or a misspelt name means."""

from __future__ import annotations

from difflib import get_close_matches

__all__ = ["OPTIONAL", "REQUIRED", "SETTINGS", "nearest_setting", "why_no_setting"]

#: Names that a task file must define; ``step`` stands in the place of ``loss``, and ``metrics`` in that of ``metric``.
REQUIRED = ("model", "data", "loss", "metric", "direction")
#: Names that a task file may define.
OPTIONAL = (
    "metric_name",
    "optimizer",
    "learning_rate",
    "batch_size",
    "epochs",
    "steps",
    "shuffle",
    "rope",
    "curve_metric",
    "metrics",
    "step",
    "predict",
    "example_inputs",
    "scheduler",
    "clip_norm",
    "accumulate",
    "ema",
    "validate_every",
    "patience",
    "precision",
    "compile",
    "device",
    "output_kind",
    "input_kind",
    "groups",
    "times",
    "out_of_distribution",
    "name",
    "description",
)
SETTINGS = (*REQUIRED, *OPTIONAL)

_SYNONYMS = {
    "learning_rate": ("lr", "base_lr", "initial_lr", "init_lr", "max_lr", "eta", "step_size"),
    "batch_size": ("batch", "bs", "bsz", "minibatch", "mini_batch", "train_batch_size", "per_device_train_batch_size"),
    "epochs": ("n_epochs", "num_epochs", "max_epochs", "total_epochs", "nb_epochs", "num_train_epochs", "n_epoch"),
    "steps": ("max_steps", "n_steps", "num_steps", "total_steps", "train_steps", "iterations", "n_iter", "num_iters", "max_iter"),
    "optimizer": ("optimiser", "optim", "opt", "optimizer_class", "optimizer_name", "make_optimizer", "configure_optimizers"),
    "loss": ("criterion", "loss_fn", "loss_function", "loss_func", "objective", "cost"),
    "metric": ("score", "scorer", "metric_fn", "eval_metric", "evaluate", "evaluation"),
    "direction": ("mode", "maximize", "maximise", "minimize", "minimise", "greater_is_better", "higher_is_better"),
    "rope": ("tolerance", "equivalence", "min_delta", "margin"),
    "data": ("dataset", "datasets", "load_data", "get_data", "make_data", "dataloader", "train_loader", "loaders"),
    "model": ("net", "network", "get_model", "make_model", "build_model", "create_model"),
    "shuffle": ("shuffle_data", "shuffle_train"),
    "name": ("task_name", "experiment_name", "run_name"),
    "step": ("training_step", "train_step"),
    "predict": ("predict_step", "prediction_step", "validation_step", "eval_step", "test_step"),
    "scheduler": ("lr_scheduler", "schedule", "lr_schedule", "make_scheduler"),
    "clip_norm": ("clip", "grad_clip", "clip_grad", "max_norm", "max_grad_norm", "gradient_clip_val", "grad_clip_norm", "clip_grad_norm"),
    "accumulate": ("accumulation_steps", "gradient_accumulation_steps", "accumulate_grad_batches", "grad_accum", "accumulation"),
    "ema": ("ema_decay", "weight_averaging", "use_ema", "model_ema"),
    "validate_every": ("val_every", "eval_every", "eval_steps", "val_interval", "val_check_interval", "validation_interval"),
    "patience": ("early_stopping", "early_stop", "early_stopping_patience", "early_stopping_rounds"),
    "precision": ("amp", "use_amp", "fp16", "bf16", "mixed_precision", "autocast"),
    "compile": ("torch_compile", "use_compile", "compile_model"),
    "groups": ("group", "group_column", "sensitive_features", "subgroups", "protected", "slices"),
    "times": ("time", "time_column", "timestamp", "timestamps"),
    "out_of_distribution": ("ood", "ood_data", "outliers", "shifted"),
    "input_kind": ("modality", "data_type", "input_type"),
    "output_kind": ("outputs", "output_type", "from_logits"),
    "device": ("devices", "cuda", "use_cuda", "gpu", "gpus", "use_gpu", "accelerator"),
}  # fmt: skip
_OPTIMIZER = "is no setting of a task; it belongs in optimizer(parameters, lr), which returns the torch optimizer"
_SCHEDULER = "is no setting of a task; it belongs in scheduler(optimizer, total_steps), which returns a torch scheduler"
_STUDY = "is no setting of a task; it is given to `actlab compare`, or to actlab.compare"
_SPLITS = (
    "is no setting of a task; data(seed) returns all splits: tensors, datasets, or DataLoaders, to which it may belong"
)
_EXPLAINED = {
    _OPTIMIZER: ("weight_decay", "momentum", "betas", "eps", "nesterov", "beta1", "beta2"),
    _SCHEDULER: ("warmup", "warmup_steps", "warmup_epochs", "lr_decay", "gamma", "step_lr"),
    _STUDY: (
        "seed", "seeds", "random_seed", "random_state", "n_seeds", "num_seeds", "arms", "activations", "baseline", "init", "tune", "alpha",
        "budget", "jobs", "store", "eliminate", "n_jobs", "threads", "num_threads",
    ),
    _SPLITS: (
        "train", "test", "validation", "valid", "val", "x_train", "y_train", "x_test", "y_test", "train_data", "test_data", "val_data",
        "test_loader", "val_loader", "collate_fn", "transform", "transforms", "augmentation", "augment", "drop_last", "sampler",
        "validation_split", "val_split", "test_size", "eval_batch_size", "test_batch_size", "num_workers", "n_workers", "workers",
        "pin_memory",
    ),
    "is no setting of a task: ActLab trains, and the store keeps the results": (
        "callbacks", "hooks", "logger", "checkpoint", "checkpoint_path", "log_interval", "log_every", "trainer", "fit",
    ),
}  # fmt: skip
_MEANT = {name: setting for setting, names in _SYNONYMS.items() for name in names}
_WHY = {name: why for why, names in _EXPLAINED.items() for name in names}


def nearest_setting(name: str) -> str | None:
    """Return the setting that a name probably means, or None.

    Example:
        >>> nearest_setting("lr"), nearest_setting("batchsize"), nearest_setting("EPOCH"), nearest_setting("hidden")
        ('learning_rate', 'batch_size', 'epochs', None)
    """
    word = name.lower()
    if word in _MEANT or word in _WHY:
        return _MEANT.get(word)
    plain = {setting.replace("_", ""): setting for setting in SETTINGS}
    # 0.8 tells `metricname` and `learningrate` from words of one's own such as `dates`, `noise` or `dataset_size`.
    close = get_close_matches(word.replace("_", ""), list(plain), n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def why_no_setting(name: str) -> str | None:
    """Return what to do instead of setting a well-known name that tasks do not have, or None.

    Example:
        >>> why_no_setting("momentum")
        'is no setting of a task; it belongs in optimizer(parameters, lr), which returns the torch optimizer'
    """
    return _WHY.get(name.lower())
