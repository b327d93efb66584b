"""What the options need of the machine and of the environment: packages, precision, GPUs, cores."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sft_tui.factory.check.context import Findings, Test
from sft_tui.factory.check.model_dir import ModelDirectory
from sft_tui.factory.options import release
from sft_tui.i18n import _


@dataclass(frozen=True, slots=True)
class Need:
    """`package` is needed when `when` holds."""

    key: str
    package: str
    when: Test


def _switch(key: str) -> Test:
    return lambda f: f.on(key)


def _quantizes(method: str) -> Test:
    return lambda f: f.given("quantization_bit") and f.get("quantization_method") == method


def _reports_to(name: str) -> Test:
    return lambda f: name in f.words("report_to")


def _optimizer(*parts: str) -> Test:
    return lambda f: any(part in str(f.get("optim")) for part in parts)


NEEDS = (
    Need("use_unsloth", "unsloth", _switch("use_unsloth")),
    Need("enable_liger_kernel", "liger-kernel", _switch("enable_liger_kernel")),
    Need("use_kt", "kt-kernel", _switch("use_kt")),
    Need("use_hyper_parallel", "hyper-parallel", _switch("use_hyper_parallel")),
    Need("mixture_of_depths", "mixture-of-depth", _switch("mixture_of_depths")),
    Need("use_galore", "galore-torch", _switch("use_galore")),
    Need("use_apollo", "apollo-torch", _switch("use_apollo")),
    Need("use_badam", "badam", _switch("use_badam")),
    Need("use_adam_mini", "adam-mini", _switch("use_adam_mini")),
    Need("use_swanlab", "swanlab", _switch("use_swanlab")),
    Need("plot_loss", "matplotlib", _switch("plot_loss")),
    Need("deepspeed", "deepspeed", lambda f: f.given("deepspeed") and not f.merge),
    Need("predict_with_generate", "jieba", _switch("predict_with_generate")),
    Need("predict_with_generate", "nltk", _switch("predict_with_generate")),
    Need("predict_with_generate", "rouge-chinese", _switch("predict_with_generate")),
    Need("quantization_bit", "bitsandbytes", _quantizes("bnb")),
    Need("quantization_bit", "hqq", _quantizes("hqq")),
    Need("quantization_bit", "eetq", _quantizes("eetq")),
    Need("export_quantization_bit", "optimum", lambda f: f.merge and f.given("export_quantization_bit")),
    Need("export_quantization_bit", "gptqmodel", lambda f: f.merge and f.given("export_quantization_bit")),
    Need("report_to", "wandb", _reports_to("wandb")),
    Need("report_to", "mlflow", _reports_to("mlflow")),
    Need("report_to", "swanlab", _reports_to("swanlab")),
    Need("report_to", "trackio", _reports_to("trackio")),
    Need("report_to", "tensorboard", _reports_to("tensorboard")),
    Need("optim", "bitsandbytes", _optimizer("adamw_8bit", "bnb", "paged_", "lion_", "ademamix")),
    Need("optim", "galore-torch", _optimizer("galore_")),
    Need("optim", "apollo-torch", _optimizer("apollo_")),
    Need("optim", "lomo-optim", _optimizer("lomo")),
    Need("optim", "schedulefree", _optimizer("schedule_free")),
    Need("optim", "grokadamw", _optimizer("grokadamw")),
    Need("optim", "torch-optimi", _optimizer("stable_adamw")),
    Need("optim", "torchdistx", _optimizer("anyprecision")),
    Need("optim", "apex", _optimizer("apex")),
    Need("optim", "torch-xla", _optimizer("_xla")),
    Need("optim", "torch-npu", _optimizer("_npu_")),
    Need("optim", "torchao", _optimizer("adamw_torch_4bit", "adamw_torch_8bit")),
    Need("use_liger_kernel", "liger-kernel", _switch("use_liger_kernel")),
)
_ALTERNATIVES = {"tensorboard": ("tensorboardx",)}
# Packages for models that are stored quantized.
_STORED = {"gptq": "gptqmodel", "awq": "autoawq", "aqlm": "aqlm", "bitsandbytes": "bitsandbytes"}
_REPORTERS = frozenset((
    "azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte", "kubeflow", "mlflow", "neptune",
    "swanlab", "tensorboard", "trackio", "wandb", "all", "none",
))  # fmt: skip


def check_packages(findings: Findings, model: ModelDirectory | None) -> None:
    """Report optional packages that the options need and that the training environment does not have."""
    for need in NEEDS:
        if need.key in findings.options and need.key not in findings.bad and need.when(findings):
            _require(findings, need.key, need.package)
    if model is not None and (package := _STORED.get(model.quantization)):
        _require(findings, "model_name_or_path", package)
    for word in findings.words("report_to"):
        if findings.given("report_to") and word not in _REPORTERS:
            message = _("`report_to` names `{word}`, which is no known logger.").format(word=word)
            hint = _("Possible are: {choices}.").format(choices=", ".join(sorted(_REPORTERS)))
            findings.error("bad_choice", "report_to", message, hint)
    if findings.given("report_to") and "none" in findings.words("report_to") and len(findings.words("report_to")) > 1:
        message = _("`report_to` names `none` beside other loggers, which is refused.")
        findings.error("conflict", "report_to", message, _("Write `report_to: none`, or only the loggers."))
    if findings.get("flash_attn") in ("fa2", "fa3") and findings.context.factory.has("flash-attn") is False:
        message = _("flash-attn is not installed in the training environment; `flash_attn` falls back to another way.")
        findings.warning("missing_package", "flash_attn", message, _("pip install flash-attn --no-build-isolation"))


def _require(findings: Findings, key: str, package: str) -> None:
    factory = findings.context.factory
    names = (package, *_ALTERNATIVES.get(package, ()))
    if any(factory.has(name) is not False for name in names):
        return
    message = _("`{key}` needs the package {package}, which the training environment does not have.")
    hint = _("Install it there: pip install {package}").format(package=package)
    findings.error("missing_package", key, message.format(key=key, package=package), hint)


def check_machine(findings: Findings) -> None:
    """Report precision and GPUs that the options ask for and the machine does not have."""
    gpus = findings.context.gpus
    if gpus is None:
        return
    on_cpu = findings.on("use_cpu")
    if on_cpu and not gpus and findings.on("use_unsloth_gc"):
        message = _("`{key}` needs a GPU, and `use_cpu` trains without one.").format(key="use_unsloth_gc")
        findings.error("no_gpu", "use_unsloth_gc", message, _("Delete the line."), fix=("unset",))
    report = findings.error if on_cpu else findings.machine  # `use_cpu`: it is meant to run without a GPU
    for key in ("pure_bf16", "tf32", "fsdp") if not gpus else ():
        if findings.on(key):
            message = _("`{key}` needs a GPU, and none is visible here.").format(key=key)
            elsewhere = _("Delete the line, or start the training on a machine with a GPU.")
            report("no_gpu", key, message, _("Delete the line.") if on_cpu else elsewhere, fix=("unset",))
    if not gpus and not on_cpu:
        _no_gpu(findings)
    elif gpus and not on_cpu:
        _old_gpu(findings)


def _no_gpu(findings: Findings) -> None:
    for key in ("bf16", "bf16_full_eval"):
        if findings.on(key):
            message = _("No GPU is visible here, and `{key}` on the CPU needs `use_cpu: true`.").format(key=key)
            hint = _("Start the training on a machine with a GPU, or add `use_cpu: true`.")
            findings.machine("no_gpu", key, message, hint, fix=("set", True, "use_cpu"))
            return


def _old_gpu(findings: Findings) -> None:
    """Cards before Ampere (compute capability 8.0) have no bf16."""
    known = [gpu for gpu in findings.context.gpus or () if gpu.compute_capability is not None]
    old = [gpu for gpu in known if gpu.compute_capability is not None and gpu.compute_capability < (8, 0)]
    for key in ("bf16", "pure_bf16", "bf16_full_eval", "tf32"):
        if old and findings.given(key) and findings.on(key):
            message = _("GPU {index} is too old for `{key}` (it needs Ampere or later).")
            hint = _("Set `fp16: true` and delete `{key}`.").format(key=key)
            text = message.format(index=old[0].index, key=key)
            findings.machine("old_gpu", key, text, hint, fix=("unset",))
    if findings.on("fp8") and known and all((gpu.compute_capability or (0, 0)) < (8, 9) for gpu in known):
        message = _("`fp8` needs a GPU of the Ada or Hopper generation or later.")
        findings.machine("old_gpu", "fp8", message, fix=("unset",))


def check_version(findings: Findings) -> None:
    """Report installed packages outside the ranges that LLaMA-Factory's own start-up check demands."""
    factory = findings.context.factory
    if not factory.versions_known:
        return
    for package, specifier in factory.requirements.items():
        version = factory.versions.get(package)
        if version and not _satisfies(version, specifier):
            message = _("{package} {version} is installed, LLaMA-Factory asks for {specifier}.")
            hint = _('pip install "{package}{specifier}", or set DISABLE_VERSION_CHECK=1.')
            text = message.format(package=package, version=version, specifier=specifier)
            findings.warning("version_mismatch", "version", text, hint.format(package=package, specifier=specifier))


def _satisfies(version: str, specifier: str) -> bool:
    have = release(version)
    for part in specifier.split(","):
        match = re.match(r"(<=|>=|==|<|>|!=)(.+)", part.strip())
        if match is None:
            continue
        want = release(match.group(2))
        size = max(len(have), len(want))
        a, b = have + (0,) * (size - len(have)), want + (0,) * (size - len(want))
        if not {"<=": a <= b, ">=": a >= b, "==": a == b, "<": a < b, ">": a > b, "!=": a != b}[match.group(1)]:
            return False
    return True
