"""Training throughput: MLP 784-500-500-32, keras.io's conv VAE and a ladder, images/s."""

from collections.abc import Mapping
from statistics import median

from benchmarks.speed import images, roofline, waiting, work
from benchmarks.speed.runner import CORES, Contender, Settings, race

NETWORKS = {"mlp": "MLP", "conv": "conv", "ladder": "ladder"}
BATCH_SIZES = {"mlp": (128, 512), "conv": (128, 512), "ladder": (128,)}
PRECISIONS = ("float32", "bf16")
# Several operations at a time, each in one thread: what a user may set for a small network
THREAD_AN_OPERATION = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": str(CORES)}


def contenders(network: str, batch_size: int, environment: Mapping[str, str]) -> list[Contender]:
    """Returns all that train this network; `environment` is that of PyTorch's processes."""
    job = {"network": network, "batch_size": batch_size}
    fused, bf16 = {"fused": True}, {"fused": True, "precision": "bf16"}
    torch = {"eager": {}, "fused": fused, "bf16 fused": bf16}
    if network == "conv":
        last = {"channels_last": True}
        torch |= {"channels_last fused": {**fused, **last}, "bf16 channels_last": {**bf16, **last}}
    torch["compiled fused"] = {**fused, "compiled": True}
    # channels_last where it helps: convolutions in bf16
    torch["compiled bf16"] = {**bf16, "compiled": True, "channels_last": network == "conv"}
    own = [("fit", p) for p in PRECISIONS] + [("training_batches", "bf16")]
    by_hand = Contender(
        "TensorFlow by hand, bf16", ".training_raw:loop", {"batch_size": batch_size}
    )
    jax = [
        Contender(
            f"JAX {p}{', scan' if scan else ''}",
            ".training_jax:loop",
            {"batch_size": batch_size, "precision": p, "scan": scan},
        )
        for p in PRECISIONS
        for scan in (False, True)
    ]
    in_keras = [
        Contender(f"Keras fit, {p}", ".training_tf:keras_fit", {**job, "precision": p})
        for p in PRECISIONS
    ]
    pythae = Contender("pythae", ".training_torch:pythae", job, environment=environment)
    flat = network != "ladder"
    return [
        *(
            Contender(f"{way}, {p}", f".training_tf:{way}", {**job, "precision": p}, ours=True)
            for way, p in own
        ),
        Contender(
            "fit, bf16, TF_NUM_INTRAOP_THREADS=1",
            ".training_tf:fit",
            {**job, "precision": "bf16"},
            ours=True,
            environment=THREAD_AN_OPERATION,
        ),
        *([by_hand] if network == "mlp" else []),
        *(in_keras if flat else []),
        *(
            Contender(
                f"PyTorch {name}",
                ".training_torch:loop",
                {**job, **options},
                environment=environment,
            )
            for name, options in torch.items()
        ),
        *(jax if network == "mlp" else []),
        *([pythae] if flat else []),
    ]


def with_shares(result: dict, network: str, batch_size: int) -> dict:
    """Returns a race beside the chip's ceilings, which ran in it.

    `share` is what each contender's multiplications are of those that a large matmul of its
    precision does in the same time, the median over rounds.
    """
    names = {precision: f"matmul 2048^3, {precision}" for precision in PRECISIONS}
    ceilings = {p: result["rates"][name] for p, name in names.items() if name in result["rates"]}
    rates = {n: rates for n, rates in result["rates"].items() if n not in names.values()}
    gflop = work.flops_per_image(network) / 1e9
    share = {}
    for name, values in rates.items():
        ceiling = ceilings.get("bf16" if "bf16" in name else "float32")
        if ceiling:
            share[name] = median(gflop * a / b for a, b in zip(values, ceiling, strict=True))
    facts = {"network": network, "batch_size": batch_size, "gflop_per_image": gflop}
    return {**result, "rates": rates, "ceilings": ceilings, "share": share, **facts}


def run(settings: Settings) -> dict:
    """Returns a race for each network and batch size."""
    data = images.prepare(settings.scratch)
    job = {
        "network": "mlp",
        "batch_size": BATCH_SIZES["mlp"][0],
        "precision": "bf16",
        "fused": True,
    }
    probe = Contender("PyTorch bf16 fused", ".training_torch:loop", job)
    environment, tried = waiting.quickest(probe, settings)
    what = f"training throughput, {data} in memory, Adam, Bernoulli likelihood"
    races = []
    for network, name in NETWORKS.items():
        for batch_size in BATCH_SIZES[network]:
            title = f"{name} batch {batch_size}"
            field = [*contenders(network, batch_size, environment), *roofline.ceilings()]
            result = race(title, field, settings, unit="images/s", what=what)
            races.append(with_shares(result, network, batch_size))
    return {"data": data, "races": races, "waiting": tried}
