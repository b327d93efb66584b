"""What F1 says: a title and what to enter and why, for each field. The advice is the guide's."""

from __future__ import annotations

from sft_tui.i18n import N_

TEXTS: dict[str, tuple[str, str]] = {
    "welcome": (
        N_("The start"),
        N_(
            "Choose where to begin with Up and Down, or with a digit, and press Enter.\n\nBelow, this machine is "
            "checked. A line marked as missing says what to type to mend it. Nothing has to be mended before you look "
            "through the steps, but training needs LLaMA-Factory."
        ),
    ),
    "hardware.gpus": (
        N_("GPU"),
        N_(
            "The card that trains. The freest one is a good choice: memory that others use on a card is not there for "
            "your training.\n\nThe processor trains tiny models in minutes; for a model of several billion weights a "
            "GPU is needed.\n\nSeveral cards together train faster, each with a copy of the model; a model that does "
            "not fit on one card does not fit on two this way either."
        ),
    ),
    "hardware.gpus.several": (
        N_("Several cards"),
        N_(
            "Space takes a card or leaves it out. Cards of the same kind work best together: the slowest one sets the "
            "pace."
        ),
    ),
    "model.path": (
        N_("Model"),
        N_(
            "The model that is fine-tuned: a directory that holds config.json, weights and tokenizer files, or the "
            "name of a model on the hub, such as Qwen/Qwen2.5-0.5B-Instruct, which is then downloaded.\n\nA path is a "
            "path if it exists. While you type, Tab completes as in a shell and F4 opens a list of directories.\n\n"
            "The model's own files are only read, never changed."
        ),
    ),
    "model.source": (
        N_("Where the model is downloaded from"),
        N_("Hugging Face, or ModelScope, which is often faster in mainland China. Local models are not downloaded."),
    ),
    "model.template": (
        N_("Chat template"),
        N_(
            "How question and answer are put together for this model, with its own marks. It must fit the model: a "
            "wrong template spoils the training without any error.\n\n`auto` finds it by the model's name, its type "
            "or its tokenizer, and says how. Common ones: qwen, qwen3, llama3, glm4, gemma, default."
        ),
    ),
    "preset": (
        N_("Preset"),
        N_(
            "Settings that fit a kind of card. `Automatic` takes the largest that fits into the free memory of the "
            "chosen card. Every setting can be changed two steps later."
        ),
    ),
    "data.source": (
        N_("File with examples"),
        N_(
            "A json, jsonl, csv, tsv, parquet or xlsx file, also packed (.gz, .zst), a directory of such files, or "
            "`hub:` and the name of a dataset. Its format is detected. The file is only read, never changed.\n\nA few "
            "hundred good examples are enough to begin with. The quality of the examples decides the quality of the "
            "result."
        ),
    ),
    "data.format": (
        N_("Format"),
        N_(
            "How a row is built. `columns`: one column with the question and one with the answer. `alpaca`: "
            "instruction, input, output. `sharegpt` and `openai`: whole conversations in one column.\n\nIt is "
            "detected; change it only if the detection is wrong."
        ),
    ),
    "data.columns.input": (
        N_("Input column"),
        N_(
            "The column with the question, that is, what the model will be given. Left and Right choose, Space lists "
            "all."
        ),
    ),
    "data.columns.output": (
        N_("Output column"),
        N_("The column with the answer, that is, what the model shall learn to say. Rows without one are dropped."),
    ),
    "data.columns.instruction": (
        N_("Instruction column"),
        N_(
            "A column that says for each row what is to be done. Without one, the fixed instruction stands in every "
            "row."
        ),
    ),
    "data.columns.system": (
        N_("System prompt column"),
        N_("A column with the role that the model plays in each row. Without one, the fixed text stands in every row."),
    ),
    "data.columns.history": (
        N_("History column"),
        N_("A column with the earlier turns of a conversation, a list of [question, answer]. Most files have none."),
    ),
    "data.columns.messages": (
        N_("Conversation column"),
        N_("The column that holds the whole conversation as a list of turns."),
    ),
    "data.instruction": (
        N_("Fixed instruction"),
        N_(
            "Stands before the question in every row that has no instruction of its own. Use the same sentence later, "
            "when you ask the model."
        ),
    ),
    "data.system": (
        N_("Fixed system prompt"),
        N_(
            "The role of the model in every row that has no system prompt of its own, for example an expert for your "
            "field."
        ),
    ),
    "data.max_samples": (
        N_("Use at most"),
        N_("Use only so many rows, to try things out quickly. Empty: all rows."),
    ),
    "data.test_size": (
        N_("Keep for testing"),
        N_(
            "Rows that are kept out of the training, to see afterwards what the model learned: a share such as 0.1, "
            "or a number of rows such as 100. 0 keeps none."
        ),
    ),
    "preview": (
        N_("Preview"),
        N_(
            "At the left a row as it is in your file, at the right what the model will learn from. Left and Right go "
            "through the rows, `/` searches, `g` goes to a row, `x` to the next row that is dropped.\n\nIf something "
            "stands in the wrong place, go back with Esc and change the columns."
        ),
    ),
    "preview.search": (
        N_("Search"),
        N_("Type a text and press Enter: the next row that contains it is shown. Esc closes the question."),
    ),
    "config": (
        N_("Settings"),
        N_(
            "The values suit the preset and this machine; Enter accepts them. What you change is checked while you "
            "type, and the line above says what it amounts to.\n\nSpace opens a folded group. F5 opens any other "
            "option of LLaMA-Factory by name, F8 goes to the next problem.\n\nOut of memory: a smaller batch size "
            "with more accumulation, a smaller longest sample, bf16 or fp16.\nToo slow: a larger batch size with less "
            "accumulation, more processes for the data.\nNot good enough: more and better examples, another learning "
            "rate, more epochs."
        ),
    ),
    "train.learning_rate": (
        N_("Learning rate"),
        N_(
            "How far each step changes the weights. For LoRA 1e-4 to 5e-4, depending on the amount of data; for full "
            "fine-tuning about ten times less. Too large: the loss jumps or grows. Too small: it hardly falls."
        ),
    ),
    "train.num_train_epochs": (
        N_("Epochs"),
        N_(
            "How often the whole data is gone through, usually 1-5. With few examples more, with many fewer. If the "
            "evaluation loss rises while the training loss falls, it is too many."
        ),
    ),
    "train.per_device_train_batch_size": (
        N_("Batch size per card"),
        N_(
            "Samples that a card takes at once, usually 2-8, depending on its memory. Larger is faster and needs more "
            "memory. If memory runs out: halve it and double the accumulation; the result is the same."
        ),
    ),
    "train.gradient_accumulation_steps": (
        N_("Accumulation"),
        N_(
            "So many batches are summed up before the weights change. Batch size x accumulation x cards is the "
            "effective batch size; 8 to 32 is usual. It costs no memory, only time."
        ),
    ),
    "train.cutoff_len": (
        N_("Longest sample"),
        N_(
            "Tokens of the longest sample; what is longer is cut off. It decides the memory more than anything else: "
            "1024 for 8 GB, 2048 for 16 GB, 4096 for 24 GB and more, as a rule of thumb. A Chinese character is about "
            "one token, an English word a little more."
        ),
    ),
    "train.lora_rank": (
        N_("LoRA rank"),
        N_(
            "Size of the adapter, 4-64. Larger learns more and is slower: 8 for style and format, 16-64 for new "
            "abilities."
        ),
    ),
    "train.lora_alpha": (
        N_("LoRA alpha"),
        N_("How strongly the adapter acts; usually twice the rank."),
    ),
    "train.lora_dropout": (
        N_("LoRA dropout"),
        N_(
            "Share of the adapter that is left out at random, against learning by heart: 0.05-0.1. 0 for very few "
            "steps."
        ),
    ),
    "train.lora_target": (
        N_("LoRA layers"),
        N_("Layers that get an adapter. `all` means every linear layer and is best in most cases."),
    ),
    "train.finetuning_type": (
        N_("Method"),
        N_(
            "lora: a small adapter beside the model is trained; little memory, nearly as good. full: all weights; "
            "needs many times the memory. freeze: only some layers. oft: another kind of adapter."
        ),
    ),
    "train.quantization_bit": (
        N_("Quantize the base model"),
        N_(
            "Load the model in 4 or 8 bits (QLoRA), so that a large model fits on a small card. Needs bitsandbytes "
            "and is a little slower. Empty: not quantized."
        ),
    ),
    "train.preprocessing_num_workers": (
        N_("Processes"),
        N_("Processes that turn the examples into tokens before training. As many as there are processors, at most."),
    ),
    "train.overwrite_cache": (
        N_("Prepare anew"),
        N_("Turn the examples into tokens again, even if that was done before."),
    ),
    "train.packing": (
        N_("Pack short samples"),
        N_(
            "Put several short samples into one sequence. Faster for short samples; the number of steps becomes "
            "smaller."
        ),
    ),
    "train.lr_scheduler_type": (
        N_("Course of the learning rate"),
        N_(
            "cosine: it falls slowly, then faster, then slowly to zero; good in most cases. linear, constant and "
            "others."
        ),
    ),
    "train.warmup_ratio": (
        N_("Warm-up"),
        N_("Share of the steps in which the learning rate rises from zero, 0.03-0.1. It keeps the beginning calm."),
    ),
    "train.bf16": (
        N_("bf16"),
        N_(
            "Compute in bfloat16: half the memory, faster. Needs an Ampere card (RTX 30, A100) or newer; not for the "
            "CPU."
        ),
    ),
    "train.fp16": (
        N_("fp16"),
        N_("Compute in float16, for cards older than Ampere. Not together with bf16."),
    ),
    "train.seed": (
        N_("Seed"),
        N_("Start of the random numbers. The same seed gives the same order of the data."),
    ),
    "train.ddp_timeout": (
        N_("Patience"),
        N_("Seconds that several processes wait for each other. Leave it as it is."),
    ),
    "train.val_size": (
        N_("Kept for evaluation"),
        N_(
            "Part of the training data on which the evaluation loss is measured: a share such as 0.1 or a number of "
            "samples. 0 measures none. It shows when the model begins to learn by heart."
        ),
    ),
    "train.per_device_eval_batch_size": (
        N_("Batch size in evaluation"),
        N_("Samples that a card takes at once; 1 is safe."),
    ),
    "train.eval_strategy": (
        N_("When to evaluate"),
        N_("steps: every so many steps. epoch: after each pass. no: never."),
    ),
    "train.eval_steps": (
        N_("Evaluate every"),
        N_("Steps between two evaluations. Each one takes time."),
    ),
    "train.logging_steps": (
        N_("Report every"),
        N_("Steps between two points of the loss curve."),
    ),
    "train.save_steps": (
        N_("Checkpoint every"),
        N_("Steps between two checkpoints, from which a broken training can go on. They need room on the disk."),
    ),
    "train.save_total_limit": (
        N_("Checkpoints kept"),
        N_("Older checkpoints are deleted. Each is as large as the adapter."),
    ),
    "train.save_only_model": (
        N_("Weights only"),
        N_("Leave the optimizer out of checkpoints: smaller, but training cannot go on from them."),
    ),
    "train.plot_loss": (
        N_("Draw the loss"),
        N_("Write a picture of the loss curve into the output directory."),
    ),
    "train.report_to": (
        N_("Report to"),
        N_(
            "Where the curves are reported: tensorboard writes files that `tensorboard --logdir logs` shows; none: "
            "nowhere."
        ),
    ),
    "export.enabled": (
        N_("Merge the model"),
        N_("After training, put adapter and model together into one model that every program can load."),
    ),
    "export.size_gb": (
        N_("Largest file"),
        N_("The merged model is split into files of at most so many GB."),
    ),
    "export.device": (
        N_("Merge on"),
        N_("cpu needs no GPU memory and is fast enough. auto uses a GPU if there is one."),
    ),
    "export.verify": (
        N_("Check the result"),
        N_("Load the merged model, compare its weights with model and adapter, and let it answer a few questions."),
    ),
    "on_failure.oom": (
        N_("If memory runs out"),
        N_(
            "ask: stop and propose a change. retry: halve the batch size, double the accumulation and go on by "
            "itself. stop: stop."
        ),
    ),
    "run.name": (
        N_("Name of the run"),
        N_(
            "Names the directories: saves/NAME, logs/NAME, models/NAME, runs/NAME. Small letters, digits and hyphens. "
            "Empty: made from model, file and time."
        ),
    ),
    "review": (
        N_("Review"),
        N_(
            "Everything that will be run and written. Left and Right turn the pages, PgUp and PgDn scroll. `s` saves "
            "the answers to a file without starting; that file repeats the run anywhere, without this wizard.\n\n"
            "Start writes the files and trains in the background. Closing the window or losing the connection does "
            "not stop it: `sft-tui` shows it again."
        ),
    ),
    "review.save": (
        N_("Save the answers"),
        N_("A file name. `sft-tui --non-interactive FILE` runs it, `sft-tui FILE` opens it in this wizard."),
    ),
    "pick": (
        N_("List"),
        N_("Type to filter, move with Up and Down, Enter takes the line with the >, Esc takes none."),
    ),
    "files": (
        N_("Files"),
        N_(
            "Type to filter, move with Up and Down. Enter opens a directory or takes a file. Left goes one directory "
            "up."
        ),
    ),
    "options": (
        N_("All options"),
        N_(
            "Type a part of the name or of what the option does. Enter puts the option among the settings, to be "
            "changed."
        ),
    ),
    "run": (
        N_("Training"),
        N_(
            "The run as it is now. It does not depend on this window: close it, lose the connection, and `sft-tui "
            "attach` shows it again.\n\nThe loss should fall, fast at first. If the evaluation loss rises again, the "
            "model begins to learn by heart."
        ),
    ),
    "log": (
        N_("Log"),
        N_(
            "What the stage printed, from the file in logs/. It follows the end; scrolling up stops that, End follows "
            "again. A progress bar that writes over itself is one line.\n\n/ searches upwards from what is shown, n "
            "goes on to older lines, N to newer ones. g goes to a line by its number, Left and Right move sideways, "
            "1 to 5 open the other logs."
        ),
    ),
    "chart": (
        N_("Chart"),
        N_(
            "Dots are the loss of single steps, the line is their running mean, the large marks are evaluations on "
            "rows that were kept out of the training; below is the learning rate.\n\nBoth losses should fall. A "
            "training loss that falls while the evaluation loss rises means learning by heart: fewer epochs or a "
            "smaller learning rate help."
        ),
    ),
    "result": (
        N_("Result"),
        N_("What the run has made: where the adapter and the merged model are, and the commands to use them."),
    ),
    "runs": (
        N_("Runs"),
        N_("All runs of this project. Enter shows the one with the >."),
    ),
}
"""By dotted path of the answer, or name of the screen."""
