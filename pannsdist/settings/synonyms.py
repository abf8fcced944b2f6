"""Names that other libraries use for settings: for error messages only."""

from __future__ import annotations

SYNONYMS = {
    **dict.fromkeys(("lr", "learning_rate", "base_lr", "max_lr", "init_lr"), "optimizer.learning_rate"),
    **dict.fromkeys(("epochs", "epoch", "num_epochs", "max_epochs", "num_train_epochs"), "train.epochs"),
    **dict.fromkeys(("batch_size", "batch", "per_device_train_batch_size", "train_batch_size"), "train.batch_size"),
    **dict.fromkeys(("eval_batch_size", "per_device_eval_batch_size", "valid_batch_size"), "valid.batch_size"),
    **dict.fromkeys(("weight_decay", "wd"), "optimizer.params.weight_decay"),
    **dict.fromkeys(("lr_scheduler", "scheduler", "sched", "lr_scheduler_type"), "schedule.name"),
    **dict.fromkeys(("early_stopping", "patience", "early_stopping_patience"), "train.patience_epochs"),
    **dict.fromkeys(("num_workers", "workers", "dataloader_num_workers"), "data.workers"),
    **dict.fromkeys(("fp16", "bf16", "amp", "precision", "mixed_precision", "use_amp"), "train.amp"),
    **dict.fromkeys(("accumulate_grad_batches", "gradient_accumulation_steps"), "train.accumulate_steps"),
    **dict.fromkeys(("clip_grad", "gradient_clip_val", "max_grad_norm", "grad_clip"), "train.clip_norm"),
    **dict.fromkeys(("warmup_epochs", "warmup"), "schedule.warmup_epochs"),
    **dict.fromkeys(("ema", "model_ema", "model_ema_decay"), "train.ema_decay"),
    **dict.fromkeys(("smoothing", "label_smoothing"), "loss.label_smoothing"),
    **dict.fromkeys(("pretrained", "checkpoint", "weights", "pretrained_model"), "model.weights"),
    **dict.fromkeys(("output_dir", "save_dir"), "runs"),
    **dict.fromkeys(("random_seed", "manual_seed", "seed"), "seed"),
    "max_steps": "train.max_steps",
    "warmup_steps": "schedule.warmup_steps",
    "mixup_alpha": "mixup.alpha",
    "dataset": "data.name",
}
"""The key here by the name elsewhere."""
