"""Training throughput: MLP 784-500-500-32 and keras.io's conv VAE, images/s."""

from benchmarks.speed import images
from benchmarks.speed.runner import Contender, Settings, race

NETWORKS = {"mlp": "MLP", "conv": "conv"}
BATCH_SIZES = (128, 512)
PRECISIONS = ("float32", "bf16")


def contenders(network: str, batch_size: int) -> list[Contender]:
    """Returns all that train this network."""
    work = {"network": network, "batch_size": batch_size}
    fused, bf16 = {"fused": True}, {"fused": True, "precision": "bf16"}
    torch = {"eager": {}, "fused": fused, "bf16 fused": bf16}
    if network == "conv":
        last = {"channels_last": True}
        torch |= {"channels_last fused": {**fused, **last}, "bf16 channels_last": {**bf16, **last}}
    torch["compiled fused"] = {**fused, "compiled": True}
    # channels_last where it helps: convolutions in bf16
    torch["compiled bf16"] = {**bf16, "compiled": True, "channels_last": network == "conv"}
    own = [("fit", p) for p in PRECISIONS] + [("training_batches", "bf16")]
    return [
        *(
            Contender(f"{way}, {p}", f"training_tf:{way}", {**work, "precision": p}, ours=True)
            for way, p in own
        ),
        *(
            Contender(f"Keras fit, {p}", "training_tf:keras_fit", {**work, "precision": p})
            for p in PRECISIONS
        ),
        *(
            Contender(f"PyTorch {name}", "training_torch:loop", {**work, **options})
            for name, options in torch.items()
        ),
        Contender("pythae", "training_torch:pythae", work),
    ]


def run(settings: Settings) -> dict:
    """Returns a race for each network and batch size."""
    data = images.prepare(settings.scratch)
    races = []
    for network, name in NETWORKS.items():
        for batch_size in BATCH_SIZES:
            what = f"training throughput, {data} in memory, Adam, Bernoulli likelihood"
            title = f"{name} batch {batch_size}"
            field = contenders(network, batch_size)
            races.append(race(title, field, settings, unit="images/s", what=what))
    return {"data": data, "races": races}
