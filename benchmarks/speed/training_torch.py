"""Training in PyTorch: a good loop written by hand, and pythae's trainer."""

import contextlib
import logging
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.speed import images
from benchmarks.speed.ladder_torch import LadderVAE
from benchmarks.speed.worker import Measure

LEARNING_RATE = 1e-3
SIZE = images.SHAPE[0] * images.SHAPE[1]
MLP_LATENT_DIM, MLP_HIDDEN = 32, 500
CONV_LATENT_DIM, CONV_HIDDEN = 2, 16
STEPS_OF_WARMUP = 20
# pythae's epoch: short, so that a round ends near its time; its cost a step is the same
PYTHAE_EXAMPLES = 5120


class Encoder(nn.Module):
    """x [B, 1, 28, 28] -> z_mean, z_log_var, each [B, L]."""

    def __init__(self, network: str):
        super().__init__()
        if network == "mlp":
            width, latent_dim = MLP_HIDDEN, MLP_LATENT_DIM
            first = [nn.Flatten(), nn.Linear(SIZE, width), nn.ReLU(), nn.Linear(width, width)]
        else:
            width, latent_dim = CONV_HIDDEN, CONV_LATENT_DIM
            first = [nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()]
            first += [nn.Flatten(), nn.Linear(64 * 7 * 7, width)]
        self.body = nn.Sequential(*first, nn.ReLU())
        self.mean, self.log_var = nn.Linear(width, latent_dim), nn.Linear(width, latent_dim)

    def forward(self, x):
        """Returns the two parameters."""
        h = self.body(x)
        return self.mean(h), self.log_var(h)


class Decoder(nn.Sequential):
    """z [B, L] -> logits [B, 1, 28, 28]."""

    def __init__(self, network: str):
        if network == "mlp":
            width = MLP_HIDDEN
            layers = [nn.Linear(MLP_LATENT_DIM, width), nn.ReLU(), nn.Linear(width, width)]
            layers += [nn.ReLU(), nn.Linear(width, SIZE), nn.Unflatten(1, (1, 28, 28))]
        else:
            up = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}
            layers = [nn.Linear(CONV_LATENT_DIM, 64 * 7 * 7), nn.ReLU()]
            layers += [nn.Unflatten(1, (64, 7, 7)), nn.ConvTranspose2d(64, 64, **up), nn.ReLU()]
            layers += [nn.ConvTranspose2d(64, 32, **up), nn.ReLU()]
            layers += [nn.ConvTranspose2d(32, 1, 3, padding=1)]
        super().__init__(*layers)


class Images(Decoder):
    """z [B, L] -> E[x|z] [B, 1, 28, 28]."""

    def forward(self, z):
        """Returns probabilities, float32."""
        return torch.sigmoid(super().forward(z).float())


class VAE(nn.Module):
    """The loss of a VAE: mean over the batch of -log p(x|z) + KL, in nats."""

    def __init__(self, network: str):
        super().__init__()
        self.encoder, self.decoder = Encoder(network), Decoder(network)

    def forward(self, x):
        """Returns the loss."""
        mean, log_var = (y.float() for y in self.encoder(x))
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        logits = self.decoder(z).float()
        nll = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_var - mean.square() - log_var.exp())
        return (nll + kl) / len(x)


def start() -> None:
    """Gives PyTorch the cores that TensorFlow takes by itself, and a seed."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)


def autocast(precision: str):
    """Returns the context in which layers compute in this precision."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast("cpu", dtype=torch.bfloat16)


def channels_first(x: np.ndarray) -> torch.Tensor:
    """Returns images [N, H, W, C] as a tensor [N, C, H, W]."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()


def loop(
    scratch: Path,
    network: str,
    batch_size: int,
    precision: str = "float32",
    fused: bool = False,
    compiled: bool = False,
    channels_last: bool = False,
) -> Measure:
    """Returns a `measure` of a loop over batches gathered from memory."""
    start()
    x = channels_first(images.load(scratch))
    vae = LadderVAE() if network == "ladder" else VAE(network)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    vae = vae.to(memory_format=layout)
    loss_of = torch.compile(vae) if compiled else vae
    optimizer = torch.optim.Adam(vae.parameters(), LEARNING_RATE, fused=fused or None)

    def measure(seconds: float, steps: int = 0) -> tuple[float, float]:
        done, total, taken, began = 0, torch.zeros(()), 0.0, time.perf_counter()
        while True:
            order = torch.randperm(len(x))
            for i in range(0, len(x) - batch_size + 1, batch_size):
                batch = x[order[i : i + batch_size]].contiguous(memory_format=layout)
                optimizer.zero_grad(set_to_none=True)
                with autocast(precision):
                    loss = loss_of(batch)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                done, taken = done + 1, time.perf_counter() - began
                if taken >= seconds and done >= steps:
                    return done * batch_size, taken

    measure(0.0, STEPS_OF_WARMUP)
    return measure


def pythae_model(network: str):
    """Returns pythae's VAE with the same networks; its decoders give probabilities."""
    from pythae.models import VAE as PythaeVAE
    from pythae.models import VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Half(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.network = Encoder(network)

        def forward(self, x):
            mean, log_var = self.network(x)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class OtherHalf(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.network = Decoder(network)

        def forward(self, z):
            return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))

    latent_dim = MLP_LATENT_DIM if network == "mlp" else CONV_LATENT_DIM
    settings = {"input_dim": (1, 28, 28), "reconstruction_loss": "bce", "latent_dim": latent_dim}
    return PythaeVAE(VAEConfig(**settings), Half(), OtherHalf())


def pythae(scratch: Path, network: str, batch_size: int) -> Measure:
    """Returns a `measure` of epochs of pythae's BaseTrainer, as it is but for the batch size."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    start()
    logging.disable(logging.INFO)
    x = channels_first(images.load(scratch)[:PYTHAE_EXAMPLES])
    settings = {"per_device_train_batch_size": batch_size, "learning_rate": LEARNING_RATE}
    config = BaseTrainerConfig(output_dir=str(scratch / "pythae"), **settings)
    data = BaseDataset(x, torch.zeros(len(x)))
    trainer = BaseTrainer(pythae_model(network), data, training_config=config)
    trainer.prepare_training()

    def measure(seconds: float) -> tuple[float, float]:
        done, taken, began = 0, 0.0, time.perf_counter()
        while taken < seconds:
            loader = {"train_loader": trainer.train_loader, "eval_loader": None}
            trainer.callback_handler.on_epoch_begin(training_config=config, epoch=1, **loader)
            trainer.train_step(1)
            done, taken = done + len(x), time.perf_counter() - began
        return done, taken

    measure(0.0)
    return measure
