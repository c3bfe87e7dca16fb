"""The modules, and the parts of them, that a candidate may use; everything else is refused.

A module is listed with `only` the parts that are needed, or with all its public parts except `never`. The modules
that it has imported itself (`torch.os`) are never allowed. A module inside it has an entry of its own, or is refused.
The tables hold for the installed versions; tests compare them with what is really in these modules.
"""

import sys
from dataclasses import dataclass

Names = frozenset[str]


@dataclass(frozen=True)
class Module:
    """A module that may be imported. `only` empty: all public parts but `never`; `types`: its names in capitals."""

    only: Names = frozenset()
    never: Names = frozenset()
    types: Names | None = None  # None: all
    private: tuple[str, ...] = ()  # prefixes of parts that begin with an underscore but are public


def words(text: str) -> Names:
    """The set of the words of a text."""
    return frozenset(text.split())


TORCH = Module(
    never=words(
        "load save from_file get_file_path get_device_module fork wait prepare_multiprocessing_environment "
        "import_ir_module import_ir_module_from_buffer parse_ir parse_schema parse_type_comment "
        "merge_type_from_type_comment unify_type_list from_dlpack to_dlpack set_num_threads set_num_interop_threads "
        "init_num_threads set_rng_state set_default_tensor_type "
        # modules that no trainer needs
        "accelerator ao classes contrib cpp cpu distributed distributions export functional futures fx hub jit masked "
        "monitor mps mtia multiprocessing nativert numa onnx overrides package profiler quantization quasirandom "
        "return_types serialization storage testing torch torch_version version windows xpu"
    ),
    types=words(
        "Tensor Generator Size Event Stream GradScaler OutOfMemoryError BFloat16Tensor BoolTensor ByteTensor "
        "DoubleTensor FloatTensor HalfTensor IntTensor LongTensor ShortTensor"
    ),
    private=("_foreach_", "_fused_", "_scaled_mm", "_int_mm", "_grouped_mm", "_assert", "_check"),
)
CUDA = Module(
    only=words(
        "CUDAGraph Event OutOfMemoryError Stream amp current_device current_stream default_stream device device_count "
        "empty_cache get_device_capability get_device_name get_device_properties graph graph_pool_handle graphs "
        "is_available is_bf16_supported is_current_stream_capturing make_graphed_callables manual_seed manual_seed_all "
        "max_memory_allocated max_memory_reserved mem_get_info memory_allocated memory_reserved nvtx "
        "reset_peak_memory_stats stream synchronize"
    )
)
NUMPY = Module(
    never=words(
        "load save savez savez_compressed loadtxt savetxt genfromtxt fromfile fromregex memmap lib ctypeslib f2py "
        "exceptions polynomial testing core rec char strings dtypes emath ma matlib test get_include info show_config "
        "show_runtime conftest matrixlib tests version"
    )
)
# Each has a module of its own name in lower case, with a function of that name too
OPTIMIZERS = words("ASGD Adadelta Adagrad Adam AdamW Adamax NAdam RAdam RMSprop Rprop SGD")

MODULES: dict[str, Module] = {
    "torch": TORCH,
    "torch._dynamo": Module(
        only=words("allow_in_graph disable graph_break mark_dynamic mark_static maybe_mark_dynamic reset")
    ),
    "torch.amp": Module(only=words("GradScaler autocast custom_bwd custom_fwd is_autocast_available")),
    "torch.autograd": Module(
        never=words("anomaly_mode grad_mode profiler profiler_legacy profiler_util kineto_available")
    ),
    "torch.autograd.forward_ad": Module(),
    "torch.autograd.function": Module(),
    "torch.autograd.functional": Module(),
    "torch.autograd.graph": Module(never=words("Any Callable")),
    "torch.backends": Module(only=words("cuda cudnn mkldnn opt_einsum")),
    "torch.backends.cuda": Module(),
    "torch.backends.cudnn": Module(),
    "torch.backends.mkldnn": Module(),
    "torch.backends.opt_einsum": Module(only=words("enabled is_available strategy")),
    "torch.compiler": Module(
        only=words(
            "allow_in_graph assume_constant_result cudagraph_mark_step_begin disable is_compiling is_dynamo_compiling "
            "reset set_stance skip_guard_on_all_nn_modules_unsafe substitute_in_graph wrap_numpy"
        )
    ),
    "torch.cuda": CUDA,
    "torch.cuda.amp": Module(only=words("GradScaler autocast custom_bwd custom_fwd")),
    "torch.cuda.graphs": Module(only=words("CUDAGraph graph graph_pool_handle make_graphed_callables")),
    "torch.cuda.nvtx": Module(),
    "torch.fft": Module(),
    "torch.func": Module(),
    "torch.library": Module(only=words("custom_op register_autograd register_fake")),
    "torch.linalg": Module(),
    "torch.nested": Module(),
    "torch.nn": Module(
        never=words("backends common_types cpp grad intrinsic modules parallel qat quantizable quantized")
    ),
    "torch.nn.attention": Module(never=words("experimental")),
    "torch.nn.attention.bias": Module(),
    "torch.nn.attention.flex_attention": Module(),
    "torch.nn.attention.varlen": Module(only=words("varlen_attn varlen_attn_out AuxRequest")),
    "torch.nn.functional": Module(never=words("grad handle_torch_function has_torch_function boolean_dispatch")),
    "torch.nn.init": Module(),
    "torch.nn.parameter": Module(),
    "torch.nn.utils": Module(never=words("convert_parameters fusion init memory_format prune")),
    "torch.nn.utils.clip_grad": Module(),
    "torch.nn.utils.parametrizations": Module(never=words("parametrize")),
    "torch.nn.utils.parametrize": Module(),
    "torch.nn.utils.rnn": Module(),
    "torch.nn.utils.stateless": Module(),
    "torch.ops": Module(never=words("load_library loaded_libraries import_module c10d profiler rpc prim")),
    "torch.optim": Module(),
    **{f"torch.optim.{name.lower()}": Module(only=frozenset({name, name.lower()})) for name in sorted(OPTIMIZERS)},
    "torch.optim.lbfgs": Module(only=words("LBFGS")),
    "torch.optim.sparse_adam": Module(only=words("SparseAdam")),
    "torch.optim.lr_scheduler": Module(),
    "torch.optim.optimizer": Module(only=words("Optimizer ParamsT required")),
    "torch.optim.swa_utils": Module(),
    "torch.random": Module(only=words("fork_rng initial_seed get_rng_state manual_seed")),
    "torch.sparse": Module(never=words("semi_structured")),
    "torch.special": Module(),
    "torch.utils": Module(only=words("checkpoint")),
    "torch.utils.checkpoint": Module(
        only=words(
            "CheckpointPolicy checkpoint checkpoint_sequential create_selective_checkpoint_contexts noop_context_fn "
            "set_checkpoint_early_stop"
        )
    ),
    "numpy": NUMPY,
    "numpy.fft": Module(never=words("tests")),
    "numpy.linalg": Module(never=words("lapack_lite tests")),
    "numpy.random": Module(never=words("bit_generator mtrand set_state tests")),
    "numpy.typing": Module(never=words("mypy_plugin tests")),
    "__future__": Module(),
    "abc": Module(),
    "bisect": Module(),
    "cmath": Module(),
    "collections": Module(),
    "collections.abc": Module(),
    "contextlib": Module(),
    "copy": Module(only=words("copy deepcopy")),
    "dataclasses": Module(never=words("make_dataclass")),
    "decimal": Module(),
    "enum": Module(never=words("bltns")),
    "fractions": Module(),
    "functools": Module(never=words("singledispatch singledispatchmethod get_cache_token")),
    "gc": Module(only=words("collect disable enable freeze unfreeze")),
    "heapq": Module(),
    "itertools": Module(),
    "math": Module(),
    "numbers": Module(),
    "operator": Module(never=words("attrgetter methodcaller")),
    "random": Module(never=words("setstate SystemRandom")),
    "re": Module(),
    "statistics": Module(),
    "types": Module(only=words("MappingProxyType SimpleNamespace")),
    "typing": Module(never=words("ForwardRef get_type_hints evaluate_forward_ref stdlib_re io re")),
    "warnings": Module(only=words("catch_warnings filterwarnings simplefilter warn")),
}

# The only foreign attributes that a trainer may write: settings of torch
SETTINGS = frozenset(
    [
        *(f"torch.backends.cuda.matmul.{name}" for name in ("allow_tf32", "fp32_precision")),
        *(f"torch.backends.cuda.matmul.allow_{name}_reduced_precision_reduction" for name in ("fp16", "bf16")),
        *(f"torch.backends.cudnn.{name}" for name in ("allow_tf32", "benchmark", "deterministic", "enabled")),
        *(f"torch.backends.cudnn.{name}.fp32_precision" for name in ("conv", "rnn")),
        "torch.backends.fp32_precision",
        "torch.backends.opt_einsum.strategy",
        *(f"torch._dynamo.config.{name}" for name in ("cache_size_limit", "recompile_limit", "compiled_autograd")),
        "torch._functorch.config.donated_buffer",
        *(f"torch._inductor.config.{name}" for name in ("coordinate_descent_tuning", "epilogue_fusion")),
        *(f"torch._inductor.config.{name}" for name in ("max_autotune", "shape_padding", "triton.cudagraphs")),
    ]
)
SETTING_MODULES = frozenset(setting.rpartition(".")[0] for setting in SETTINGS)

# Parts that have the name of a module of the standard library but are not that module
NO_MODULES = words(
    "bisect.bisect copy.copy numpy.array numpy.copy numpy.linalg.trace numpy.select numpy.trace random.random "
    "numpy.random.random torch.select torch.trace"
)
MODULE_NAMES = frozenset(sys.stdlib_module_names) | {"F", "fwAD", "hooks", "m", "np", "torch"}

# The reason, and what to do instead; the longest prefix that fits is used
REASONS: dict[str, str] = {
    "os": "a candidate has no files, processes or environment; remove it",
    "sys": "a candidate needs nothing of the interpreter; print is enough to say something; remove it",
    "time": "the clock is the harness's: use task.clock.progress and task.clock.seconds_left",
    "datetime": "the clock is the harness's: use task.clock.progress and task.clock.seconds_left",
    "subprocess": "one trial is one process; remove it",
    "multiprocessing": "one trial is one process; remove it",
    "threading": "one trial is one thread; remove it",
    "concurrent": "one trial is one thread; remove it",
    "socket": "there is no network; remove it",
    "requests": "there is no network; remove it",
    "urllib": "there is no network; remove it",
    "pathlib": "there are no files: keep in memory what training needs",
    "pickle": "there are no files: keep in memory what training needs",
    "json": "there are no files; print a dictionary as it is",
    "inspect": "it looks into the interpreter; remove it",
    "ctypes": "it looks into the interpreter; remove it",
    "importlib": "import by name, at the top",
    "autoresearch_ray": "the harness is not for candidates; task gives all there is",
    "prepare": "task gives sizes, batches and clock; the harness scores the model",
    "flash_attn": "it is not installed; use F.scaled_dot_product_attention",
    "xformers": "it is not installed; use F.scaled_dot_product_attention",
    "kernels": "it is not installed; use F.scaled_dot_product_attention",
    "transformers": "it is not installed; write the model with torch.nn",
    "scipy": "write it with torch or numpy",
    "tqdm": "use task.report(loss) for the learning curve",
    "wandb": "use task.report(loss) for the learning curve",
    "logging": "use print or task.report(loss)",
    "triton": "write it with torch operations: torch.compile makes kernels of them",
    "einops": "write it with view, permute and einsum",
    "torch.distributed": "one trial is one process on one device; remove it",
    "torch.multiprocessing": "one trial is one process; remove it",
    "torch.futures": "one trial is one process; remove it",
    "torch.fork": "one trial is one thread; remove it",
    "torch.utils.data": "task.batches(rows) gives the batches",
    "torch.utils.cpp_extension": "no code is built outside of torch.compile; write it with torch operations",
    "torch.jit": "use torch.compile",
    "torch.nn.utils.prune": "write it with torch operations, on the weights",
    "torch.nn.modules": "name the class itself: torch.nn.Linear",
    "torch.distributions": "write it with torch operations",
    "torch._C": "use the public functions of torch",
    "torch.fx": "write the computation itself; torch.compile optimises it",
    "torch.load": "there are no files to read: keep in memory what training needs",
    "torch.save": "there are no files to write: keep in memory what training needs",
    "torch.hub": "there is no network; train from the start",
    "torch.library": "of torch.library only own operators (custom_op and their autograd) are allowed",
    "torch.overrides": "what torch functions do must not change; write a function of your own",
    "torch.set_num_threads": "the threads belong to the slot; remove it",
    "torch.set_num_interop_threads": "the threads belong to the slot; remove it",
    "torch.set_rng_state": "it fixes the randomness; use torch.manual_seed(task.seed)",
    "torch.profiler": "profiling is no part of a trial; remove it",
    "torch.autograd.profiler": "profiling is no part of a trial; remove it",
    "operator.attrgetter": "names that are computed hide what is used; write lambda x: x.name",
    "operator.methodcaller": "names that are computed hide what is used; write lambda x: x.name()",
    "gc.get_objects": "a candidate has no business with other objects; remove it",
    "random.SystemRandom": "seed with task.seed: random.Random(task.seed)",
    "numpy.memmap": "there are no files: batches come from task.batches(rows)",
}
FILES = words("load save savez savez_compressed loadtxt savetxt genfromtxt fromfile fromregex memmap from_file")


def module_of(path: str) -> str | None:
    """The listed module that a path begins with, the longest one."""
    parts = path.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in MODULES), None)


def allowed(path: str) -> bool:
    """Whether a candidate may name the path: a listed module, or a part of one that is not refused."""
    if path in SETTINGS or importable(path):
        return True
    name = module_of(path)
    if name is None or any(path.startswith(f"{holder}.") for holder in SETTING_MODULES - MODULES.keys()):
        return False
    part = path.removeprefix(f"{name}.").split(".")[0]
    return _part_allowed(MODULES[name], part, f"{name}.{part}")


def importable(path: str) -> bool:
    """Whether `import path` or `from path import ...` is allowed: a listed module, or one that leads to settings."""
    return path in MODULES or any(f"{holder}.".startswith(f"{path}.") for holder in SETTING_MODULES)


def _part_allowed(module: Module, part: str, path: str) -> bool:
    if part.startswith("_"):
        return part.startswith(module.private) or part in ("__version__", "__name__")
    if part in module.never or (module.only and part not in module.only):
        return False
    if part[0].isupper() and module.types is not None and part not in module.types:
        return False
    return part not in MODULE_NAMES or path in NO_MODULES


def advice(path: str) -> str:
    """What to do instead of using `path`."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        reason = REASONS.get(".".join(parts[:count]))
        if reason:
            return reason
    if parts[-1] in FILES:
        return "there are no files: keep in memory what training needs"
    return "a candidate computes with torch and nothing else; remove it"
