"""What F1 says of fields that are no options of LLaMA-Factory: a title, what to enter and why."""

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
            "A json, jsonl, csv, tsv, parquet or xlsx file, also packed (.gz, .zst, .bz2, .xz), a directory of such "
            "files, a file in an archive (data.zip!train.csv), or `hub:` and the name of a dataset. Its format is "
            "detected. The file is only read, never changed.\n\nA few hundred good examples are enough to begin with. "
            "The quality of the examples decides the quality of the result."
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
    "data.sheet": (
        N_("Sheet"),
        N_("The sheet of the workbook that holds the examples."),
    ),
    "data.dedupe": (
        N_("Drop repeated rows"),
        N_("Drop samples that occur more than once. Repeated samples count more than others."),
    ),
    "data.sample": (
        N_("Which rows"),
        N_(
            "Where only so many rows are used: the first ones of the file, or a random sample of all of them. A random "
            "sample is better where the file is sorted; the seed makes it the same each time."
        ),
    ),
    "data.seed": (
        N_("Seed"),
        N_(
            "A whole number that decides which rows are drawn and which are kept for testing. The same seed gives the "
            "same rows."
        ),
    ),
    "data.strict": (
        N_("Refuse bad rows"),
        N_(
            "Without it, rows without a question or an answer and rows that cannot be read are left out and counted. "
            "With it, one such row stops the run before anything is written, and says which."
        ),
    ),
    "data.name": (
        N_("Name of the dataset"),
        N_(
            "What the examples are called in data/dataset_info.json: letters, digits, hyphens and underscores. Empty: "
            "made from the file's name."
        ),
    ),
    "preview": (
        N_("Preview"),
        N_(
            "At the left a row as it is in your file, at the right what the model will learn from. Left and Right go "
            "through the rows, `/` searches, `g` goes to a row, `x` to the next row that is dropped, `t` looks at all "
            "rows.\n\nIf something stands in the wrong place, go back with Esc and change the columns."
        ),
    ),
    "statistics": (
        N_("Statistics"),
        N_(
            "Every row is looked at. Lengths are counted in tokens, with the tokenizer and the template of your model; "
            "a sample that is longer than `cutoff_len` loses its end, which is often the end of the answer.\n\nA "
            "number sets what is suggested, the same number takes it back; it stands in the settings, two steps on. A "
            "letter goes to the rows of what is doubtful; there `n` shows the next of them. Likely personal data is "
            "found by its form alone: look before you believe it."
        ),
    ),
    "memory": (
        N_("Memory on the card"),
        N_(
            "What the training will need on each card, part by part, worked out from the model's architecture and the "
            "settings. `±` is the error to be expected: `fits` is said only where even that is within what is free "
            "now.\n\nA number sets what helps, `f` sets the fewest changes that make it fit and keep the effective "
            "batch size, `u` takes the last change back. What comes first costs the least quality. Without any change: "
            "a smaller model, a larger card, or several cards."
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
    "hardware.wait": (
        N_("Wait for a free GPU"),
        N_(
            "Start the training only when the card has the memory that it needs, for cards that are shared with others."
        ),
    ),
    "hardware.launcher": (
        N_("Launcher"),
        N_(
            "How the training processes are started. `auto` starts one a card, each with the whole model. `deepspeed` "
            "divides optimizer states, gradients or weights among the cards (ZeRO), so that each needs less memory; it "
            "is slower, and needs the package deepspeed. Change it only if you know why."
        ),
    ),
    "on_failure.oom": (
        N_("If memory runs out"),
        N_(
            "ask: stop and propose a change. retry: halve the batch size, double the accumulation and go on by "
            "itself. stop: stop."
        ),
    ),
    "run.dir": (
        N_("Project directory"),
        N_(
            "Where all files of the run are written: configs, checkpoints, logs, the merged model. A relative path "
            "starts at the answers file; `.` is its own directory. Choose another one where this cannot be written or "
            "has too little room."
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
    "confirm": (
        N_("Question"),
        N_("Enter does what stands beside it. Esc goes back, and nothing is changed."),
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
