"""Signatures as users post them: mostly one line, with the prefixes and in the forms of many versions."""

from __future__ import annotations

import pytest

from sft_tui.factory.failures import diagnose_text

POSTED: list[tuple[str, str]] = [
    ("loss-nan", "'loss': 0.0, 'grad_norm': nan"),
    ("loss-nan", "{'loss': 4.6758, 'grad_norm': nan, 'learning_rate': 0.0001, 'epoch': 0.05}\n" * 4),
    ("template-unknown", "28.48.119.83: ValueError: Template x does not exist."),
    ("cli-not-found", "/bin/bash: line 1: llamafactory-cli: command not found"),
    ("cli-not-found", "-bash: llamafactory-cli: command not found"),
    ("cli-not-found", "nohup: failed to run command 'llamafactory-cli': No such file or directory"),
    (
        "cli-not-found",
        "'llamafactory-cli' 不是内部或外部命令，也不是可运行的程序\n或批处理文件。",
    ),
    ("cli-not-found", "llamafactory-cli : 无法将“llamafactory-cli”项识别为 cmdlet、函数、脚本文件或可运行程序的名称。"),
    (
        "cli-not-found",
        "llamafactory-cli : The term 'llamafactory-cli' is not recognized as the name of a "
        "cmdlet, function, script file",
    ),
    ("cli-not-found", "train.sh: line 3: llamafactory-cli: command not found"),
    (
        "cli-not-found",
        "Traceback (most recent call last):\n"
        '  File "run.py", line 3, in <module>\n'
        "    subprocess.run(['llamafactory-cli','train'])\n"
        "FileNotFoundError: [Errno 2] No such file or directory: 'llamafactory-cli'",
    ),
    ("cli-not-found", "/usr/bin/python3: No module named llamafactory"),
    ("cli-not-found", "ModuleNotFoundError: No module named 'llamafactory'"),
    (
        "cli-metadata-missing",
        "pkg_resources.DistributionNotFound: The 'llamafactory' distribution was not found and "
        "is required by the application",
    ),
    (
        "cli-metadata-missing",
        "importlib.metadata.PackageNotFoundError: No package metadata was found for llamafactory",
    ),
    (
        "undefined-dataset",
        "[rank1]: ValueError: Undefined dataset /opt/data/private/LLaMA-Factory/data/train1.json in dataset_info.json.",
    ),
    (
        "dataset-info-missing",
        "ValueError: Cannot open /home/user/data/dataset_info.json due to Expecting value: line 1 column 1 (char 0).",
    ),
    (
        "dataset-info-missing",
        "ValueError: Cannot open data/dataset_info.json due to [Errno 2] No such file or "
        "directory: 'data/dataset_info.json'.",
    ),
    ("dataset-file-missing", "ValueError: File /data/a b/c.json not found."),
    ("dataset-file-missing", "ValueError: File not found."),
    ("dataset-file-type", "ValueError: Allowed file types: csv,json,jsonl,parquet,txt,arrow."),
    ("dataset-file-type", "AssertionError: Allowed file types: csv,json"),
    ("no-valid-samples", "RuntimeError: Cannot find valid samples, check `data/README.md` for the data format."),
    (
        "json-invalid",
        "datasets.exceptions.DatasetGenerationError: An error occurred while generating the dataset",
    ),
    (
        "json-invalid",
        "pyarrow.lib.ArrowInvalid: JSON parse error: Missing a comma or } after an object member. in row 3",
    ),
    ("json-invalid", "pyarrow.lib.ArrowInvalid: JSON parse error: Invalid value. in row 0"),
    (
        "json-invalid",
        "ERROR:datasets.packaged_modules.json.json:Failed to read file '/data/x.json' with error "
        "<class 'pyarrow.lib.ArrowInvalid'>: JSON parse error: Column() changed from object to "
        "array in row 0",
    ),
    (
        "json-types-differ",
        "datasets.table.CastError: Couldn't cast\n"
        "instruction: string\n"
        "output: list<item: string>\n"
        "to\n"
        "{'instruction': Value(dtype='string', id=None)}\n"
        "because column names don't match",
    ),
    ("json-types-differ", "TypeError: Couldn't cast array of type string to null"),
    ("json-types-differ", "pyarrow.lib.ArrowInvalid: cannot mix list and non-list, non-null values"),
    (
        "json-types-differ",
        "datasets.exceptions.DatasetGenerationCastError: An error occurred while generating the "
        "dataset\n"
        "\n"
        "All the data files must have the same columns, but at some point there are 1 new "
        "columns ({'system'})",
    ),
    ("alpaca-columns", "KeyError: 'instruction'"),
    ("columns-incomplete", "KeyError: None"),
    ("columns-incomplete", "KeyError: 'conversations'"),
    (
        "columns-incomplete",
        "[rank0]: KeyError: 'messages'\n[rank1]: KeyError: 'messages'",
    ),
    ("role-tags", "KeyError: 'from'"),
    (
        "role-tags",
        "02/20/2024 10:00:00 - WARNING - llmtuner.data.aligner - Invalid role tag in [{'from': 'a'}].",
    ),
    (
        "role-tags",
        "[WARNING|aligner.py:150] 2024-11-20 10:00:00,000 >> Invalid role tag in [{'role': 'user'}].",
    ),
    ("role-tags", "KeyError: 'role'"),
    ("template-unknown", "ValueError: Template llama does not exist."),
    ("template-unknown", "AssertionError: Template llama2_zh does not exist."),
    (
        "gpu-oom",
        "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 7.79 GiB total "
        "capacity; 6.30 GiB already allocated; 10.94 MiB free; 6.42 GiB reserved in total by "
        "PyTorch)",
    ),
    ("gpu-oom", "RuntimeError: CUDA error: out of memory"),
    ("gpu-oom", "torch.cuda.OutOfMemoryError: HIP out of memory. Tried to allocate 2 GiB"),
    (
        "gpu-oom",
        "RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB (NPU 0; 29.50 GiB total capacity",
    ),
    (
        "gpu-oom",
        "ray.exceptions.RayTaskError(OutOfMemoryError): ray::_inner() (pid=1, ip=1)\n"
        '  File "x"\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    ),
    (
        "gpu-oom",
        "[E ProcessGroupNCCL.cpp] x\n"
        "terminate called after throwing an instance of 'c10::OutOfMemoryError'\n"
        "  what():  CUDA out of memory. Tried to allocate 2.00 GiB",
    ),
    (
        "gpu-oom-later",
        "{'loss': 1.2, 'grad_norm': 0.3, 'learning_rate': 1e-5, 'epoch': 0.1}\n"
        " 12%|█▏        | 120/1000 [10:00<1:10:00,  5.0s/it]torch.OutOfMemoryError: CUDA out of "
        "memory. Tried to allocate 2.00 GiB",
    ),
    (
        "host-oom",
        "[2024-05-01 10:00:00,123] torch.distributed.elastic.multiprocessing.api: [ERROR] failed "
        "(exitcode: -9) local_rank: 0 (pid: 12345) of binary: /usr/bin/python",
    ),
    (
        "host-oom",
        "  exitcode  : -9 (pid: 93043)\n  error_file: <N/A>\n  traceback : Signal 9 (SIGKILL) received by PID 93043",
    ),
    ("host-oom", "Killed"),
    ("host-oom", "[1]    12345 killed     llamafactory-cli train x.yaml"),
    ("host-oom", "bash: line 1: 12345 Killed                  python src/train.py"),
    ("host-oom", "./run.sh: line 5: 2229 Killed llamafactory-cli train a.yaml"),
    ("host-oom", "已杀死"),
    ("host-oom", "[12345.6] Out of memory: Killed process 244 (python) total-vm:1kB"),
    ("host-oom", "subprocess.CalledProcessError: Command '['torchrun']' died with <Signals.SIGKILL: 9>."),
    (
        "hangup",
        "torch.distributed.elastic.multiprocessing.api.SignalException: Process 2920830 got signal: 1",
    ),
    (
        "hangup",
        "torch.distributed.elastic.multiprocessing.errors.SignalException: Process 1 got signal: 1",
    ),
    (
        "hangup",
        "[2024-01-01 10:00:00,000] torch.distributed.elastic.agent.server.api: [WARNING] "
        "Received Signals.SIGHUP death signal, shutting down workers",
    ),
    (
        "hangup",
        "[2024-01-01 10:00:00,000] torch.distributed.elastic.multiprocessing.api: [WARNING] "
        "Sending process 12 closing signal SIGHUP",
    ),
    (
        "nccl-timeout",
        "[rank5]:[E602 11:17:52.185053341 ProcessGroupNCCL.cpp:632] [Rank 5] Watchdog caught "
        "collective operation timeout: WorkNCCL(SeqNum=1)",
    ),
    (
        "nccl-timeout",
        "[E ProcessGroupNCCL.cpp:475] [Rank 1] Watchdog caught collective operation timeout: "
        "WorkNCCL(SeqNum=2, OpType=ALLREDUCE, Timeout(ms)=1800000) ran for 1800118 milliseconds "
        "before timing out.",
    ),
    (
        "nccl-timeout",
        "RuntimeError: Some NCCL operations have failed or timed out. Due to the asynchronous "
        "nature of CUDA kernels, subsequent GPU operations might run on corrupted/incomplete "
        "data.",
    ),
    (
        "rtx4000-p2p",
        "NotImplementedError: Using RTX 3090 or 4000 series doesn't support faster communication "
        "broadband via P2P or IB. Please set",
    ),
    (
        "port-in-use",
        "[W socket.cpp:401] [c10d] The server socket has failed to bind to [::]:29500 (errno: 98 "
        "- Address already in use).",
    ),
    (
        "port-in-use",
        "torch.distributed.elastic.rendezvous.api.RendezvousConnectionError: The connection to "
        "the C10d store has failed. EADDRINUSE",
    ),
    ("port-in-use", "OSError: [Errno 98] Address already in use"),
    ("deepspeed-needs-torchrun", "ValueError: Please use `FORCE_TORCHRUN=1` to launch DeepSpeed training."),
    ("needs-launcher", "ValueError: Please launch distributed training with `llamafactory-cli` or `torchrun`."),
    (
        "devices-mixed",
        "RuntimeError: Expected all tensors to be on the same device, but found at least two "
        "devices, cuda:0 and cuda:1! (when checking argument for argument mat2 in method "
        "wrapper_CUDA_bmm)",
    ),
    (
        "map-worker-died",
        "RuntimeError: One of the subprocesses has abruptly died during map operation.To debug "
        "the error, disable multiprocessing.",
    ),
    (
        "version-range",
        "ImportError: datasets>=2.16.0,<=3.2.0 is required for a normal functioning of this "
        "module, but found datasets==3.5.0.",
    ),
    (
        "version-range",
        "ImportError: peft>=0.14.0,<=0.15.2 is required for a normal functioning of this module, "
        "but found peft==0.16.0.\n"
        'To fix: run `pip install "peft>=0.14.0,<=0.15.2"`.',
    ),
    (
        "version-range",
        "ImportError: tokenizers>=0.21,<0.22 is required for a normal functioning of this "
        "module, but found tokenizers==0.19.1.\n"
        "Try: `pip install transformers -U`",
    ),
    ("architecture-unknown", "KeyError: 'qwen3_next'"),
    ("architecture-unknown", "KeyError: 'qwen2_5_vl'"),
    (
        "architecture-unknown",
        "ValueError: The checkpoint you are trying to load has model type `glm4_moe` but "
        "Transformers does not recognize this architecture.",
    ),
    ("weights-incomplete", "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge"),
    (
        "weights-incomplete",
        "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
    ),
    (
        "weights-incomplete",
        "safetensors_rust.SafetensorError: Error while deserializing header: incomplete "
        "metadata, file not fully covered",
    ),
    (
        "hub-unreachable",
        "OSError: We couldn't connect to 'https://huggingface.co' to load this file, couldn't "
        "find it in the cached files",
    ),
    (
        "hub-unreachable",
        "requests.exceptions.ConnectionError: "
        "(MaxRetryError(\"HTTPSConnectionPool(host='huggingface.co', port=443): Max retries "
        'exceeded with url: /x"))',
    ),
    (
        "hub-unreachable",
        "huggingface_hub.utils._errors.LocalEntryNotFoundError: An error happened while trying "
        "to locate the file on the Hub",
    ),
    (
        "no-bf16",
        "ValueError: Your setup doesn't support bf16/gpu. You need torch>=1.10, using Ampere GPU with cuda>=11.0",
    ),
    ("no-bf16", "ValueError: This device does not support `pure_bf16`."),
    (
        "gpu-too-new",
        "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current "
        "PyTorch installation.\n"
        "The current PyTorch install supports CUDA capabilities sm_50 sm_60",
    ),
    (
        "gpu-too-new",
        "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"
        "CUDA kernel errors might be asynchronously reported",
    ),
    (
        "flash-attn-abi",
        "ImportError: "
        "/opt/conda/lib/python3.10/site-packages/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.s"
        "o: undefined symbol: _ZN3c104cuda9SetDeviceEi",
    ),
    (
        "flash-attn-abi",
        "RuntimeError: Failed to import transformers.models.qwen2.modeling_qwen2 because of the "
        "following error (look up to see its traceback):\n"
        "/opt/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.so: undefined symbol: _ZN3c10",
    ),
    (
        "cuda-toolkit",
        "deepspeed.ops.op_builder.builder.CUDAMismatchException: >- DeepSpeed Op Builder: "
        "Installed CUDA version 12.4 does not match the version torch was compiled with 11.8, "
        "unable to compile cuda/cpp extensions without a matching cuda version.",
    ),
    (
        "bitsandbytes-cuda",
        "RuntimeError:\n"
        "        CUDA Setup failed despite GPU being available. Please run the following command "
        "to get more information:",
    ),
    (
        "bitsandbytes-cuda",
        "CUDA SETUP: Problem: x\n"
        "RuntimeError: CUDA Setup failed despite GPU being available. Inspect the CUDA SETUP "
        "outputs above to fix your environment!",
    ),
    ("loss-nan", "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 4.98e-05, 'epoch': 0.02}"),
    ("loss-nan", "{'loss': '0', 'grad_norm': 'nan', 'learning_rate': '4.98e-05', 'epoch': '0.02'}"),
    ("loss-nan", "{'loss': nan, 'grad_norm': nan, 'learning_rate': 4.98e-05, 'epoch': 0.02}"),
    (
        "loss-nan",
        "  0%|          | 10/5000 [00:10<1:23:00]{'loss': 0.0, 'grad_norm': nan, "
        "'learning_rate': 4.98e-05, 'epoch': 0.02}",
    ),
    (
        "loss-nan",
        "[INFO|2025-01-01 10:00:00] llamafactory.train.callbacks:157 >> {'loss': 0.0000, "
        "'learning_rate': 5.0e-05, 'epoch': 0.02}\n"
        "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 5e-05, 'epoch': 0.02}",
    ),
    (
        "loss-nan",
        "{'loss': 0.0, 'learning_rate': 4.9e-05, 'epoch': 0.06}\n{'eval_loss': nan, 'eval_runtime': 3.2}",
    ),
    ("fp16-unscale", "ValueError: Attempting to unscale FP16 gradients."),
    ("no-grad", "RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn"),
    (
        "target-modules",
        "ValueError: Target modules {'q_proj', 'v_proj'} not found in the base model. Please "
        "check the target modules and try again.",
    ),
    (
        "target-modules",
        "ValueError: Target modules ['query_key_value'] not found in the base model. Please "
        "check the target modules and try again.",
    ),
    ("checkpoint-invalid", "ValueError: Can't find a valid checkpoint at saves/x/checkpoint-100"),
    (
        "weights-only",
        "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do "
        "so you have two options",
    ),
    (
        "weights-only",
        "[rank7]: _pickle.UnpicklingError: Weights only load failed. In PyTorch 2.6, we changed the default value",
    ),
    (
        "output-dir-exists",
        "ValueError: Output directory (saves/x) already exists and is not empty. Use "
        "--overwrite_output_dir to overcome.",
    ),
    (
        "output-dir-exists",
        "ValueError: Output directory already exists and is not empty. Please set `overwrite_output_dir`.",
    ),
    ("merge-into-quantized", "ValueError: Cannot merge adapters to a quantized model."),
    ("merge-before-quantize", "ValueError: Please merge adapters before quantizing the model."),
    (
        "adapter-embedding-size",
        "RuntimeError: Error(s) in loading state_dict for PeftModelForCausalLM:\n"
        "        size mismatch for base_model.model.model.embed_tokens.weight: copying a param "
        "with shape torch.Size([32001, 4096]) from checkpoint, the shape in current model is "
        "torch.Size([32000, 4096]).",
    ),
    (
        "adapter-zero3",
        "RuntimeError: Error(s) in loading state_dict for PeftModelForCausalLM:\n"
        "        size mismatch for "
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight: copying a param "
        "with shape torch.Size([0]) from checkpoint, the shape in current model is "
        "torch.Size([8, 4096]).",
    ),
    (
        "gptq-needs-optimum",
        "ImportError: Loading a GPTQ quantized model requires optimum (`pip install optimum`) "
        "and auto-gptq library (`pip install auto-gptq`)",
    ),
    (
        "gptq-needs-optimum",
        "importlib.metadata.PackageNotFoundError: No package metadata was found for The "
        "'optimum>=1.17.0' distribution was not found and is required by this application.",
    ),
    (
        "export-transformers5",
        "RuntimeError: Failed to export model: weight conversion reversal is not supported for "
        "this model architecture (NotImplementedError in "
        "transformers.core_model_loading.reverse_op).",
    ),
    ("renamed-option", "ValueError: Some keys are not used by the HfArgumentParser: ['evaluation_strategy']"),
    (
        "renamed-option",
        "TypeError: TrainingArguments.__init__() got an unexpected keyword argument 'evaluation_strategy'",
    ),
    (
        "modules-to-save",
        "ValueError: Some keys are not used by the HfArgumentParser: ['lora_bias_trainable', 'modules_to_save']",
    ),
    ("module-to-start", "/usr/bin/python: No module named llamafactory.train"),
    (
        "cli-not-found",
        "python: Error while finding module specification for 'llamafactory.train' "
        "(ModuleNotFoundError: No module named 'llamafactory')",
    ),
    ("cli-not-found", "/usr/bin/python3: No module named llamafactory"),
    ("dataset-not-found", "Dataset not found"),
    ("dataset-not-found", "ValueError: Dataset not found: apples"),
    ("dataset-not-found", "错误：Dataset not found"),
    ("template-not-found", "Template not found"),
    ("template-not-found", "KeyError: 'Template llama not found'"),
    ("modules-to-save", "`modules_to_save` not supported"),
    ("disk-full", "OSError: [Errno 28] No space left on device"),
    ("disk-full", "tar: x: Cannot write: No space left on device"),
    ("disk-full", "RuntimeError: [enforce fail at inline_container.cc:595] . unexpected pos 576 vs 470"),
    ("disk-full", "RuntimeError: PytorchStreamWriter failed writing file data/1: file write failed"),
    ("disk-full", "OSError: [Errno 28] No space left on device: '/home/user/.cache/huggingface/datasets'"),
    ("disk-full", "OSError: [Errno 122] Disk quota exceeded"),
    (
        "webui-localhost",
        "ValueError: When localhost is not accessible, a shareable link must be created. Please set share=True.",
    ),
    ("dataset-dir-dict", "cli.py: error: argument --dataset_dir: invalid dict value: 'data'"),
    (
        "stale-tokenized-cache",
        "[WARNING|2025-01-01 10:00:00] llamafactory.data.loader:148 >> Loading dataset from disk "
        "will ignore other data arguments.",
    ),
    ("eval-without-data", "ValueError: Please make sure eval_dataset be provided or val_size >1e-6"),
    ("quantization-method", "ValueError: Quantization is only compatible with the LoRA or OFT method."),
    ("adapter-method", "ValueError: Adapter is only valid for the LoRA method."),
    ("quantization-resize", "ValueError: Cannot resize embedding layers of a quantized model."),
    ("pure-bf16-zero3", "ValueError: `pure_bf16` is incompatible with DeepSpeed ZeRO-3."),
    ("unsloth-zero3", "ValueError: Unsloth is incompatible with DeepSpeed ZeRO-3."),
    (
        "torch-trio",
        "ModuleNotFoundError: Could not import module 'PreTrainedModel'. Are this object's "
        "requirements defined correctly?",
    ),
    (
        "torch-trio",
        "OSError: /x/torchaudio/lib/_torchaudio.abi3.so: undefined symbol: _ZN3c1021throwNullDataPtrError",
    ),
    ("torch-trio", "OSError: libtorchaudio.so: undefined symbol: _ZN2at4_ops"),
    ("data-stream-empty", "StopIteration"),
    (
        "adapter-rank",
        "RuntimeError: Error(s) in loading state_dict for PeftModelForCausalLM:\n"
        "\tsize mismatch for "
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight: copying a param "
        "with shape torch.Size([8, 896]) from checkpoint, the shape in current model is "
        "torch.Size([16, 896]).",
    ),
    (
        "trainer-state-missing",
        "FileNotFoundError: [Errno 2] No such file or directory: 'saves/a/checkpoint-4/trainer_state.json'",
    ),
    (
        "ray-no-node",
        "(autoscaler +5s) Tip: use `ray status` to view detailed cluster status.\n"
        "(autoscaler +5s) Error: No available node types can fulfill resource request {'CPU': "
        "10.0}. Add suitable node types to this cluster to resolve this issue.",
    ),
    (
        "ray-no-node",
        "Warning: The following resource request cannot be scheduled right now: {'CPU': 10.0}. "
        "This is likely due to all cluster resources being claimed by actors.",
    ),
    (
        "package-missing",
        "importlib.metadata.PackageNotFoundError: No package metadata was found for The "
        "'bitsandbytes>=0.39.0' distribution was not found and is required by this application.",
    ),
    (
        "package-missing",
        "ImportError: Using `bitsandbytes` 4-bit quantization requires bitsandbytes: `pip "
        "install -U bitsandbytes>=0.46.1`",
    ),
    ("package-missing", "ModuleNotFoundError: No module named 'deepspeed'"),
    ("learning-rate-text", "TypeError: '<=' not supported between instances of 'float' and 'str'"),
    ("rank-not-positive", "ValueError: `r` should be a positive integer value but the value passed is -1"),
    (
        "cutoff-zero",
        "RuntimeError: cannot reshape tensor of 0 elements into shape [2, 0, -1, 64] because the "
        "unspecified dimension size -1 can be any value and is ambiguous",
    ),
    (
        "packing-length",
        "RuntimeError: The size of tensor a (1304) must match the size of tensor b (1300) at non-singleton dimension 3",
    ),
    (
        "val-size-too-large",
        "ValueError: test_size=2000 should be either positive and smaller than the number of "
        "samples 200 or a float in the (0, 1) range",
    ),
    ("crash", "Segmentation fault (core dumped)"),
    (
        "endless-output",
        '{"prompt": "hi", "predict": "好的好的好的好的好的好的好的好的好的好的好的好的", "label": "好"}',
    ),
    (
        "template-unknown",
        "Traceback (most recent call last):\n"
        "Traceback (most recent call last):\n"
        '  File "a", line 1, in <module>\n'
        '  File "a", line 1, in <module>\n'
        "    main()    main()\n"
        "\n"
        "ValueErrorValueError: : Template x does not exist.Template x does not exist.\n",
    ),
    (
        "gpu-oom",
        "torch.cudatorch.cuda..OutOfMemoryErrorOutOfMemoryError: : CUDA out of memory. Tried to "
        "allocate 2.00 GiB (GPU 1; 1 GiB)CUDA out of memory.",
    ),
]


@pytest.mark.parametrize(("known", "text"), POSTED, ids=[f"{known}-{n}" for n, (known, _text) in enumerate(POSTED)])
def test_a_posted_text_is_recognised(known: str, text: str) -> None:
    found = diagnose_text(text)
    assert [known] == [diagnosis.id for diagnosis in found][:1]
    assert "{" not in found[0].title
    assert "{" not in found[0].cause.replace("{'", "")


HARMLESS = [
    " [WARNING]  Installed CUDA version 11.8 does not match the version torch was compiled with 11.7 but since the "
    "APIs are compatible, accepting this combination",
    "Using RTX 4000 series which doesn't support faster communication speedups. Ensuring P2P and IB communications are "
    "disabled.",
    "[W socket.cpp:663] [c10d] The client socket has failed to connect to [localhost]:29500 (errno: 97 - Address "
    "family not supported by protocol).",
    "[WARNING|2025-01-01 10:00:00] llamafactory.model.model_utils.attention:148 >> FlashAttention-2 is not installed.",
    "FutureWarning: You are using `torch.load` with `weights_only=False` (the current default value)",
    "[WARNING|logging.py:328] 2025-01-01 10:00:00,000 >> `use_cache=True` is incompatible with gradient checkpointing.",
    "[WARNING|2025-01-01 10:00:00] llamafactory.train.tuner:148 >> Cannot save tokenizer, please copy the files "
    "manually: OSError: [Errno 28] x.",
    "'[Errno -2] Name or service not known' thrown while requesting HEAD https://huggingface.co/a/resolve/main/config.json",
    "{'loss': 1.2, 'grad_norm': nan, 'learning_rate': 0.0, 'epoch': 0.01}",
    "{'loss': '0.0012', 'grad_norm': '0.004', 'learning_rate': '1e-05', 'epoch': '2.9'}",
    "{'train_runtime': 10.0, 'train_samples_per_second': 2.0, 'train_loss': 0.0, 'epoch': 3.0}",
    "NCCL version 2.21.5+cuda12.4",
    "gpu-7:244:301 [0] NCCL WARN NET/IB : No device found.",
    "Setting `pad_token_id` to `eos_token_id`:128001 for open-end generation.",
    "ValueError",
    "The training was Killed by nobody, and no space left on device was needed.",
    "KeyError: 'foo'",
    "RuntimeError: something else entirely",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    "FileNotFoundError: [Errno 2] No such file or directory: 'notes.txt'",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_looks_like_one_is_none(text: str) -> None:
    assert diagnose_text(text + "\n") == []


MESSAGES: list[tuple[str, str]] = [
    ("cli-not-found", "llamafactory-cli: command not found"),
    ("cli-metadata-missing", "importlib.metadata.PackageNotFoundError: ... llamafactory"),
    ("undefined-dataset", "ValueError: Undefined dataset foo in dataset_info.json."),
    ("dataset-info-missing", "Cannot open data/dataset_info.json due to [Errno 2]"),
    ("dataset-file-missing", "ValueError: File ... not found."),
    ("dataset-file-type", "Allowed file types:"),
    ("dataset-mixed-types", "File types should be identical."),
    ("no-valid-samples", "RuntimeError: Cannot find valid samples, check `data/README.md`"),
    ("json-invalid", "pyarrow.lib.ArrowInvalid: JSON parse error: Column() changed from object to array in row 0"),
    ("alpaca-columns", "KeyError: 'instruction'"),
    ("alpaca-columns", "Original column name instruction not in the dataset"),
    ("columns-incomplete", "KeyError: None"),
    ("columns-incomplete", "KeyError: 'messages'"),
    ("role-tags", "KeyError: 'from'"),
    ("role-tags", "KeyError: 'user'"),
    ("role-tags", "Invalid role tag in"),
    ("template-unknown", "ValueError: Template foo does not exist."),
    ("gpu-oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"),
    ("gpu-oom", "torch.AcceleratorError: CUDA error: out of memory"),
    ("host-oom", "exitcode: -9"),
    ("host-oom", "Signal 9 (SIGKILL)"),
    ("host-oom", "Killed"),
    ("hangup", "SignalException: Process 12 got signal: 1"),
    ("hangup", "Received 1 death signal, shutting down workers"),
    ("hangup", "closing signal SIGHUP"),
    ("nccl-timeout", "Watchdog caught collective operation timeout: WorkNCCL(... Timeout(ms)="),
    ("rtx4000-p2p", "Using RTX 4000 series doesn't support faster communication broadband via P2P or IB"),
    ("port-in-use", "server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use)"),
    ("deepspeed-needs-torchrun", "Please use `FORCE_TORCHRUN=1` to launch DeepSpeed training."),
    ("needs-launcher", "Please launch distributed training with `llamafactory-cli` or `torchrun`."),
    ("devices-mixed", "Expected all tensors to be on the same device ... cuda:0 and cuda:1"),
    ("map-worker-died", "One of the subprocesses has abruptly died during map operation"),
    ("version-range", "transformers>=..,<=.. is required for a normal functioning of this module, but found"),
    ("architecture-unknown", "has model type `X` but Transformers does not recognize this architecture"),
    ("architecture-unknown", "KeyError: 'qwen3_next'"),
    ("weights-incomplete", "SafetensorError: Error while deserializing header: HeaderTooLarge"),
    ("hub-unreachable", "We couldn't connect to 'https://huggingface.co'"),
    ("no-bf16", "Your setup doesn't support bf16/gpu. You need Ampere+ GPU"),
    ("no-bf16", "This device does not support `pure_bf16`."),
    ("gpu-too-new", "CUDA capability sm_120 is not compatible with the current PyTorch installation"),
    ("gpu-too-new", "no kernel image is available"),
    ("flash-attn-abi", "flash_attn_2_cuda...so: undefined symbol"),
    ("cuda-toolkit", "Installed CUDA version X does not match the version torch was compiled with"),
    ("bitsandbytes-cuda", "CUDA Setup failed despite GPU being available"),
    ("loss-nan", "'loss': 0.0, 'grad_norm': nan"),
    ("loss-nan", "'loss': '0', 'grad_norm': 'nan'"),
    ("fp16-unscale", "Attempting to unscale FP16 gradients."),
    ("no-grad", "element 0 of tensors does not require grad and does not have a grad_fn"),
    ("target-modules", "Target modules {...} not found in the base model"),
    ("checkpoint-invalid", "Can't find a valid checkpoint at"),
    ("weights-only", "UnpicklingError: Weights only load failed"),
    ("output-dir-exists", "Output directory already exists and is not empty. Please set `overwrite_output_dir`."),
    ("merge-into-quantized", "Cannot merge adapters to a quantized model."),
    ("merge-before-quantize", "Please merge adapters before quantizing the model."),
    (
        "adapter-embedding-size",
        "Error(s) in loading state_dict for PeftModelForCausalLM: size mismatch for ...embed_tokens",
    ),
    ("gptq-needs-optimum", "requires optimum"),
    ("gptq-needs-optimum", "Loading a GPTQ quantized model requires optimum"),
    ("export-transformers5", "Failed to export model: weight conversion reversal is not supported"),
    ("renamed-option", "Some keys are not used by the HfArgumentParser: ['evaluation_strategy']"),
    ("disk-full", "No space left on device"),
    ("disk-full", "PytorchStreamWriter failed writing file"),
    ("webui-localhost", "When localhost is not accessible, a shareable link must be created"),
    ("dataset-dir-dict", "argument --dataset_dir: invalid dict value: 'data'"),
    ("stale-tokenized-cache", "Loading dataset from disk will ignore other data arguments."),
    ("eval-without-data", "Please make sure eval_dataset be provided or val_size >1e-6"),
    ("quantization-method", "Quantization is only compatible with the LoRA or OFT method."),
    ("adapter-method", "Adapter is only valid for the LoRA method."),
    ("quantization-resize", "Cannot resize embedding layers of a quantized model."),
    ("pure-bf16-zero3", "`pure_bf16` is incompatible with DeepSpeed ZeRO-3."),
    ("unsloth-zero3", "Unsloth is incompatible with DeepSpeed ZeRO-3."),
]
"""The bare messages by which these failures are known, without traceback or type."""


@pytest.mark.parametrize(("known", "text"), MESSAGES, ids=[f"{known}-{n}" for n, (known, _text) in enumerate(MESSAGES)])
def test_the_message_alone_is_recognised(known: str, text: str) -> None:
    assert diagnose_text(text)[0].id == known
