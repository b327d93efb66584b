"""Stand-alone: what LLaMA-Factory's own loader makes of registered datasets.

Usage: `factory_dataset.py REQUESTS.json OUT.json`. Each request is a training config; the
answer holds the ids, labels and masks of its training set.
"""

# mypy: ignore-errors
import json
import sys
from pathlib import Path


def main() -> None:
    """Load each dataset as a training run would."""
    from llamafactory.data import get_dataset
    from llamafactory.data import template as templates
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    answers = []
    for config in json.loads(Path(sys.argv[1]).read_text()):
        model_args, data_args, training_args, _finetuning, _generating = get_train_args(config)
        module = load_tokenizer(model_args)
        template = templates.get_template_and_fix_tokenizer(module["tokenizer"], data_args)
        found = get_dataset(template, model_args, data_args, training_args, stage="sft", **module)["train_dataset"]
        columns = ("input_ids", "labels", "attention_mask")
        answers.append({name: [list(row) for row in found[name]] for name in columns})
    Path(sys.argv[2]).write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
