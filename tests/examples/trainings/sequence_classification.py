"""Fine-tune a transformer on sentence labels with accelerate, without a Trainer: collator, groups, scheduler, evaluation by epoch."""

import argparse
import math

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, DistilBertConfig, DistilBertForSequenceClassification, get_scheduler


class PadOnly:
    """What the collator needs of a tokenizer."""

    padding_side, pad_token_id, deprecation_warnings = "right", 0, {"Asking-to-pad-a-fast-tokenizer": True}

    def pad(self, features, return_tensors=None, **_):
        width = max(len(feature["input_ids"]) for feature in features)
        rows = [feature["input_ids"] + [0] * (width - len(feature["input_ids"])) for feature in features]
        masks = [[1] * len(feature["input_ids"]) + [0] * (width - len(feature["input_ids"])) for feature in features]
        labels = [feature["label"] for feature in features]
        return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(masks), "label": torch.tensor(labels)}


def sentences(count, seed):
    """Return token lists of different lengths; the label says whether token 3 is among them."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 12, (count,), generator=generator).tolist()
    tokens = [torch.randint(1, 12, (length,), generator=generator).tolist() for length in lengths]
    return [{"input_ids": row, "label": int(3 in row)} for row in tokens]


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--per_device_train_batch_size", type=int, default=16)
    parser.add_argument("--learning_rate", type=float, default=2e-3)
    parser.add_argument("--weight_decay", type=float, default=0.01)
    parser.add_argument("--num_train_epochs", type=int, default=3)
    parser.add_argument("--gradient_accumulation_steps", type=int, default=1)
    parser.add_argument("--num_warmup_steps", type=int, default=5)
    parser.add_argument("--train_size", type=int, default=640)
    parser.add_argument("--seed", type=int, default=None)
    return parser.parse_args()


def main():
    args = parse_args()
    accelerator = Accelerator(gradient_accumulation_steps=args.gradient_accumulation_steps, cpu=True)
    if args.seed is not None:
        set_seed(args.seed)

    config = DistilBertConfig(
        vocab_size=12, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=16, num_labels=2
    )
    model = DistilBertForSequenceClassification(config)

    collator = DataCollatorWithPadding(PadOnly())
    train_loader = DataLoader(
        sentences(args.train_size, 0), shuffle=True, collate_fn=collator, batch_size=args.per_device_train_batch_size
    )
    eval_loader = DataLoader(sentences(200, 1), collate_fn=collator, batch_size=64)

    no_decay = ("bias", "LayerNorm.weight")
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(nd in n for nd in no_decay)], "weight_decay": args.weight_decay},
        {"params": [p for n, p in named if any(nd in n for nd in no_decay)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate)
    steps = args.num_train_epochs * math.ceil(len(train_loader) / args.gradient_accumulation_steps)
    scheduler = get_scheduler("linear", optimizer, num_warmup_steps=args.num_warmup_steps, num_training_steps=steps)
    model, optimizer, train_loader, eval_loader, scheduler = accelerator.prepare(
        model, optimizer, train_loader, eval_loader, scheduler
    )

    completed = 0
    for epoch in range(args.num_train_epochs):
        model.train()
        for batch in train_loader:
            with accelerator.accumulate(model):
                outputs = model(**batch)
                accelerator.backward(outputs.loss)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            completed += 1
        model.eval()
        correct = total = 0
        for batch in eval_loader:
            with torch.no_grad():
                outputs = model(**batch)
            predictions, references = accelerator.gather_for_metrics((outputs.logits.argmax(-1), batch["labels"]))
            correct += (predictions == references).sum().item()
            total += len(references)
        accelerator.print(f"epoch {epoch}: accuracy {correct / total:.4f}")


if __name__ == "__main__":
    main()
