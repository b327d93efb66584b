"""Whole small logs with noise that could mislead: exceptions that follow others, old prefixes, handled troubles."""

from __future__ import annotations

import pytest

from sft_tui.factory.failures import diagnose_text

FRAMES = (
    "Traceback (most recent call last):\n"
    '  File "/home/user/LLaMA-Factory/src/llamafactory/cli.py", line 112, in main\n'
    "    run_exp()\n"
)

LOGS: list[tuple[str, str]] = [
    (
        "gpu-oom",
        FRAMES + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
        "\n"
        "During handling of the above exception, another exception occurred:\n"
        "\n" + FRAMES + "RuntimeError: CUDA error: an illegal memory access was encountered\n",
    ),
    (
        "template-unknown",
        "model_name_or_path: x\n"
        "evaluation_strategy: steps\n"
        "quantization_bit: 4\n" + FRAMES + "ValueError: Template qwen25 does not exist.\n",
    ),
    (
        "no-valid-samples",
        "wandb: Network error (ConnectionError), entering retry loop.\n"
        + FRAMES
        + "RuntimeError: Cannot find valid samples, check `data/README.md` for the data "
        "format.\n",
    ),
    (
        "json-types-differ",
        FRAMES + "TypeError: Couldn't cast array of type\n"
        "list<item: string>\n"
        "to\n"
        "string\n"
        "\n"
        "The above exception was the direct cause of the following exception:\n"
        "\n" + FRAMES + "datasets.exceptions.DatasetGenerationError: An error occurred while generating the "
        "dataset\n",
    ),
    (
        "package-missing",
        "Traceback (most recent call last):\n"
        '  File "/home/user/LLaMA-Factory/src/llamafactory/cli.py", line 112, in main\n'
        "    x()\n"
        "importlib.metadata.PackageNotFoundError: bitsandbytes\n"
        "\n"
        "During handling of the above exception, another exception occurred:\n"
        "\n" + FRAMES + "importlib.metadata.PackageNotFoundError: No package metadata was found for The "
        "'bitsandbytes>=0.39.0' distribution was not found and is required by this "
        "application.\n"
        "To fix: run `pip install bitsandbytes>=0.39.0`.\n",
    ),
    (
        "gptq-needs-optimum",
        FRAMES + "importlib.metadata.PackageNotFoundError: optimum\n"
        "\n"
        "During handling of the above exception, another exception occurred:\n"
        "\n" + FRAMES + "importlib.metadata.PackageNotFoundError: The 'optimum>=1.17.0' distribution was not "
        "found and is required by this application.\n",
    ),
    (
        "weights-only",
        FRAMES + "_pickle.UnpicklingError: Weights only load failed. Re-running `torch.load`...\n"
        "W1 api.py:900] Sending process 1 closing signal SIGTERM\n"
        "E1 api.py:874] failed (exitcode: 1) local_rank: 0 (pid: 244) of binary: python\n",
    ),
    (
        "hangup",
        "W1 api.py:723] Received 1 death signal, shutting down workers\n"
        "W1 api.py:900] Sending process 190991 closing signal SIGHUP\n"
        + FRAMES
        + "torch.distributed.elastic.multiprocessing.api.SignalException: Process 190834 got "
        "signal: 1\n",
    ),
    (
        "loss-nan",
        "{'loss': 2.1, 'grad_norm': 1.2, 'learning_rate': 1e-5, 'epoch': 0.1}\n"
        "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 1e-5, 'epoch': 0.2}\n"
        "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 1e-5, 'epoch': 0.2}\n"
        "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 1e-5, 'epoch': 0.2}\n"
        "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 1e-5, 'epoch': 0.2}\n"
        "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 1e-5, 'epoch': 0.2}\n"
        "{'train_runtime': 100.0, 'train_samples_per_second': 1.0, 'train_steps_per_second': "
        "0.5, 'train_loss': 0.1, 'epoch': 3.0}\n"
        "***** train metrics *****\n"
        "  epoch = 3.0\n"
        "  train_loss = 0.1\n",
    ),
    (
        "loss-nan",
        "[INFO|2025-01-01 10:00:00] llamafactory.train.callbacks:157 >> {'loss': 0.0000, "
        "'learning_rate': 5.0e-05, 'epoch': 0.02}\n"
        "[INFO|2025-01-01 10:00:00] llamafactory.train.callbacks:157 >> {'loss': 0.0000, "
        "'learning_rate': 5.0e-05, 'epoch': 0.02}\n"
        "[INFO|2025-01-01 10:00:00] llamafactory.train.callbacks:157 >> {'loss': 0.0000, "
        "'learning_rate': 5.0e-05, 'epoch': 0.02}\n"
        "[INFO|2025-01-01 10:00:00] llamafactory.train.callbacks:157 >> {'loss': 0.0000, "
        "'learning_rate': 5.0e-05, 'epoch': 0.02}\n",
    ),
    ("loss-nan", "{'eval_loss': nan, 'eval_runtime': 1.2, 'epoch': 1.0}\n"),
    (
        "loss-nan",
        " 12%|█▏  | 12/100 [00:10<01:10]                                              "
        "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 1e-5, 'epoch': 0.2}\n",
    ),
    (
        "loss-nan",
        "{'loss': '0', 'grad_norm': 'nan', 'learning_rate': '5e-05', 'epoch': '0.01', 'num_input_tokens_seen': '1024'}",
    ),
    (
        "undefined-dataset",
        "04/02/2024 20:34:14 - INFO - llmtuner.data.loader - Loading dataset x\n"
        + FRAMES
        + "ValueError: Undefined dataset identity2 in dataset_info.json.\n",
    ),
    (
        "gpu-oom",
        "[2024-04-02 20:34:14,123] [INFO] [logging.py:96:log_dist] [Rank 0] DeepSpeed info\n"
        + FRAMES
        + "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 112.00 MiB. GPU\n"
        "  0%|\n",
    ),
    (
        "bitsandbytes-cuda",
        FRAMES + "RuntimeError: \n"
        "        CUDA Setup failed despite GPU being available. Please run the following "
        "command to get more information:\n"
        "\n"
        "        python -m bitsandbytes\n"
        "\n"
        "        Inspect the output\n",
    ),
    (
        "cuda-toolkit",
        "[rank0]: Traceback (most recent call last):\n"
        '[rank0]:   File "/home/user/LLaMA-Factory/src/llamafactory/cli.py", line 112, in '
        "main\n"
        "[rank0]:     run_exp()\n"
        "[rank0]: deepspeed.ops.op_builder.builder.CUDAMismatchException: >- DeepSpeed Op "
        "Builder: Installed CUDA version 12.4 does not match the version torch was compiled "
        "with 12.1, unable to compile cuda/cpp extensions without a matching cuda version.\n",
    ),
    (
        "no-grad",
        FRAMES + "RuntimeError: element 0 of tensors does not require grad and does not have a "
        "grad_fn\n"
        "  0%|          | 0/1 [00:00<?, ?it/s]",
    ),
    (
        "export-transformers5",
        FRAMES + "NotImplementedError\n"
        "\n"
        "The above exception was the direct cause of the following exception:\n"
        "\n" + FRAMES + "RuntimeError: Failed to export model: weight conversion reversal is not supported "
        "for this model architecture (NotImplementedError in "
        "transformers.core_model_loading.reverse_op). \n",
    ),
    (
        "port-in-use",
        "[E socket.cpp:860] [c10d] The server socket has failed to bind to [::]:29500 "
        "(errno: 98 - Address already in use).\n"
        "[E socket.cpp:903] The server socket has failed to listen on any local network "
        "address.\n",
    ),
    (
        "host-oom",
        "Loading checkpoint shards: 100%|██| 4/4 [00:10<00:00]\n"
        "W1 api.py:900] Sending process 190991 closing signal SIGTERM\n"
        "E1 api.py:874] failed (exitcode: -9) local_rank: 1 (pid: 244) of binary: python\n"
        + FRAMES
        + "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
        "====\n"
        "x FAILED\n",
    ),
    (
        "nccl-timeout",
        "[rank1]:[E ProcessGroupNCCL.cpp:523] [Rank 1] Watchdog caught collective operation "
        "timeout: WorkNCCL(SeqNum=1, Timeout(ms)=1800000) ran for 1800118 milliseconds "
        "before timing out.\n"
        "[rank1]:[E ProcessGroupNCCL.cpp:1182] [Rank 1] NCCL watchdog thread terminated with "
        "exception\n"
        "terminate called after throwing an instance of 'std::runtime_error'\n"
        "W1 api.py:900] Sending process 1 closing signal SIGTERM\n"
        "E1 api.py:874] failed (exitcode: -6) local_rank: 1 (pid: 244) of binary: python\n"
        "  traceback : Signal 6 (SIGABRT) received by PID 244\n",
    ),
    (
        "gpu-too-new",
        "/x/torch/cuda/__init__.py:287: UserWarning: \n"
        "NVIDIA GeForce RTX 5070 Ti with CUDA capability sm_120 is not compatible with the "
        "current PyTorch installation.\n"
        + FRAMES
        + "RuntimeError: CUDA error: no kernel image is available for execution on the device\n",
    ),
    (
        "disk-full",
        FRAMES + "safetensors_rust.SafetensorError: Error while serializing: IoError(Os { code: 28, "
        'kind: StorageFull, message: "No space left on device" })\n',
    ),
    (
        "disk-full",
        FRAMES + "OSError: [Errno 28] No space left on device\n"
        "\n"
        "During handling of the above exception, another exception occurred:\n"
        "\n" + FRAMES + "RuntimeError: [enforce fail at inline_container.cc:595] . unexpected pos 576 vs 470\n",
    ),
    ("dataset-file-missing", FRAMES + "ValueError: File data/demo file.json not found.\n"),
    (
        "columns-incomplete",
        "Converting format of dataset (num_proc=16):   0%|          | 0/57 [00:33<?, ? "
        "examples/s]\n"
        "\n"
        "Traceback (most recent call last):\n"
        '  File "C:\\Users\\admin\\x\\multiprocess\\pool.py", line 125, in worker\n'
        "    result = (True, func(*args, **kwds))\n"
        '  File "D:\\LLaMA-Factory\\src\\llamafactory\\data\\aligner.py", line 1, in f\n'
        "    x\n"
        "KeyError: None\n",
    ),
    (
        "webui-localhost",
        "Running on local URL:  http://0.0.0.0:7860\n"
        + FRAMES
        + "ValueError: When localhost is not accessible, a shareable link must be created. "
        "Please set share=True or check your proxy settings to allow access to localhost.\n",
    ),
    (
        "adapter-embedding-size",
        FRAMES + "RuntimeError: Error(s) in loading state_dict for PeftModelForCausalLM:\n"
        "\tsize mismatch for base_model.model.lm_head.weight: copying a param with shape "
        "torch.Size([128258, 4096]) from checkpoint, the shape in current model is "
        "torch.Size([128256, 4096]).\n",
    ),
    (
        "adapter-rank",
        FRAMES + "RuntimeError: Error(s) in loading state_dict for PeftModelForCausalLM:\n"
        "        size mismatch for "
        "base_model.model.model.layers.0.self_attn.k_proj.lora_B.default.weight: copying a "
        "param with shape torch.Size([1024, 8]) from checkpoint, the shape in current model "
        "is torch.Size([4096, 8]).\n"
        "        ......\n",
    ),
    (
        "no-bf16",
        FRAMES + "ValueError: Your setup doesn't support bf16/gpu. You need torch>=1.10, using Ampere "
        "GPU with cuda>=11.0\n",
    ),
]


@pytest.mark.parametrize(("known", "text"), LOGS, ids=[f"{known}-{n}" for n, (known, _text) in enumerate(LOGS)])
def test_a_small_log_is_recognised(known: str, text: str) -> None:
    assert diagnose_text(text)[0].id == known
